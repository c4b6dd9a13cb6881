// openai, the official JavaScript client: its usual calls.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { all, goOn, hello, model, most, name, report, run, server, Weather } from "./calls.mjs";

const client = new OpenAI({ ...server, maxRetries: 0 });
const asked = { model, max_tokens: most };

await run({
  async chat() {
    const answer = await client.chat.completions.create({ ...asked, messages: hello });
    return { text: answer.choices[0].message.content, finish: answer.choices[0].finish_reason };
  },

  async stream() {
    const stream = client.chat.completions.stream({ ...asked, messages: hello, stream_options: { include_usage: true } });
    const parts = [];
    stream.on("content", (part) => parts.push(part));
    const whole = await stream.finalChatCompletion();
    const { message, finish_reason } = whole.choices[0];
    return { parts, text: message.content, finish: finish_reason, answered: (await stream.totalUsage()).completion_tokens };
  },

  async history() {
    const first = await client.chat.completions.create({ ...asked, messages: name });
    const messages = [...name, first.choices[0].message, goOn];
    const second = await client.chat.completions.create({ ...asked, messages });
    return { first: first.usage.total_tokens, second: second.usage.prompt_tokens };
  },

  async structured() {
    const response_format = zodResponseFormat(Weather, "weather");
    const answer = await client.chat.completions.parse({ ...asked, messages: report, response_format });
    return answer.choices[0].message.parsed;
  },

  async embeddings() {
    const answer = await client.embeddings.create({ model: "auto", input: ["one text", "another"] });
    return answer.data.map((one) => one.embedding.length);
  },

  async models() {
    return (await all(client.models.list())).map((one) => one.id);
  },

  async "a wrong key"() {
    const stranger = new OpenAI({ ...server, apiKey: "adx-wrong", maxRetries: 0 });
    try {
      return await stranger.models.list();
    } catch (error) {
      return { kind: error.constructor.name, code: error.code };
    }
  },
});

// openai, the official JavaScript client: its usual calls.

import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { able, all, City, described, goOn, hello, model, most, name, question, report, run, server, Weather, weatherIn } from "./calls.mjs";

const client = new OpenAI({ ...server, maxRetries: 0 });
const asked = { model, max_tokens: most };
const answered = { model, max_output_tokens: most };

// The model calls, then answers: the client runs the function between the two.
async function twoSteps(stream) {
  const calls = [];
  const weather = zodFunction({ name: "weather", description: described, parameters: City, function: weatherIn(calls) });
  const runner = client.chat.completions.runTools({ model: able, max_tokens: most, stream, tools: [weather], messages: question });
  return { calls, text: await runner.finalContent(), roles: runner.messages.map((message) => message.role) };
}

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

  tools: () => twoSteps(false),
  "tools, streamed": () => twoSteps(true),

  async "tools, if it likes"() {
    const weather = zodFunction({ name: "weather", description: described, parameters: City, function: weatherIn([]) });
    const runner = client.chat.completions.runTools(
      { ...asked, messages: question, tools: [weather] },
      { maxChatCompletions: 2 },
    );
    await runner.done();
    return runner.messages.map((message) => message.role);
  },

  async "response"() {
    const answer = await client.responses.create({ ...answered, input: hello });
    return { text: answer.output_text, status: answer.status, stored: (await client.responses.retrieve(answer.id)).id === answer.id };
  },

  async "response, streamed"() {
    const stream = client.responses.stream({ ...answered, input: hello });
    const parts = [];
    stream.on("response.output_text.delta", (event) => parts.push(event.delta));
    const whole = await stream.finalResponse();
    return { parts, text: whole.output_text, status: whole.status };
  },

  async "response, gone on from"() {
    const first = await client.responses.create({ ...answered, input: name });
    const second = await client.responses.create({ ...answered, input: [goOn], previous_response_id: first.id });
    return { first: first.usage.total_tokens, second: second.usage.input_tokens };
  },

  async "response, structured"() {
    const text = { format: zodTextFormat(Weather, "weather") };
    return (await client.responses.parse({ ...answered, input: report, text })).output_parsed;
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

// @langchain/openai: its usual calls.

import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";
import { all, goOn, hello, model, most, name, report, run, server, Weather } from "./calls.mjs";

const { baseURL, apiKey } = server;
const chat = new ChatOpenAI({ model, apiKey, maxRetries: 0, maxTokens: most, configuration: { baseURL } });

await run({
  async chat() {
    const answer = await chat.invoke(hello);
    return { text: answer.content, finish: answer.response_metadata.finish_reason };
  },

  async stream() {
    const chunks = await all(await chat.stream(hello));
    const parts = chunks.map((chunk) => chunk.content);
    const whole = chunks.reduce((sum, chunk) => sum.concat(chunk));
    const { finish_reason } = whole.response_metadata;
    return { parts, text: whole.content, finish: finish_reason, answered: whole.usage_metadata.output_tokens };
  },

  async history() {
    const question = new HumanMessage(name[0].content);
    const first = await chat.invoke([question]);
    const second = await chat.invoke([question, new AIMessage(first), new HumanMessage(goOn.content)]);
    return { first: first.usage_metadata.total_tokens, second: second.usage_metadata.input_tokens };
  },

  async structured() {
    return chat.withStructuredOutput(Weather).invoke(report);
  },
});

// @langchain/openai: its usual calls.

import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { able, all, City, described, goOn, hello, model, most, name, question, report, run, server, Weather, weatherIn } from "./calls.mjs";

const { baseURL, apiKey } = server;
const chat = new ChatOpenAI({ model, apiKey, maxRetries: 0, maxTokens: most, configuration: { baseURL } });

// The model calls, then answers.
async function twoSteps(ask) {
  const calls = [];
  const weather = tool(weatherIn(calls), { name: "weather", description: described, schema: City });
  const caller = new ChatOpenAI({ model: able, apiKey, maxRetries: 0, maxTokens: most, configuration: { baseURL } });
  const both = caller.bindTools([weather]);
  const first = await ask(both, question);
  const results = [];
  for (const call of first.tool_calls) results.push(await weather.invoke(call));
  const messages = [new HumanMessage(question[0].content), first, ...results];
  const second = await ask(both, messages);
  return { calls, text: second.content };
}

async function streamed(model, messages) {
  return (await all(await model.stream(messages))).reduce((sum, chunk) => sum.concat(chunk));
}

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

  tools: () => twoSteps((model, messages) => model.invoke(messages)),
  "tools, streamed": () => twoSteps(streamed),

  async "structured, by a call"() {
    return chat.withStructuredOutput(Weather, { method: "functionCalling" }).invoke(report);
  },

  async structured() {
    return chat.withStructuredOutput(Weather).invoke(report);
  },
});

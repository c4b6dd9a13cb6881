// The usual calls of Vercel's ai, whichever provider the model is of.

import { generateObject, generateText, Output, stepCountIs, streamObject, streamText, tool } from "ai";
import { able, all, City, described, goOn, hello, model, most, name, question, report, Weather, weatherIn } from "./calls.mjs";

// provided: makes a model of its name.
export function usualCalls(provided) {
  const asked = { model: provided(model), maxRetries: 0, maxOutputTokens: most };

  // The model calls, then answers.
  const twoSteps = (calls) => ({
    ...asked,
    model: provided(able),
    messages: question,
    tools: { weather: tool({ description: described, inputSchema: City, execute: weatherIn(calls) }) },
    stopWhen: stepCountIs(3),
  });

  return {
    async chat() {
      const answer = await generateText({ ...asked, messages: hello });
      return { text: answer.text, finish: answer.finishReason, warnings: answer.warnings };
    },

    async stream() {
      const answer = streamText({ ...asked, messages: hello, onError: raised });
      const parts = await all(answer.textStream);
      return { parts, text: await answer.text, finish: await answer.finishReason, answered: (await answer.usage).outputTokens };
    },

    async history() {
      const first = await generateText({ ...asked, messages: name });
      const second = await generateText({ ...asked, messages: [...name, ...first.response.messages, goOn] });
      return { first: first.usage.totalTokens, second: second.usage.inputTokens };
    },

    async structured() {
      return (await generateObject({ ...asked, messages: report, schema: Weather })).object;
    },

    async tools() {
      const calls = [];
      const answer = await generateText(twoSteps(calls));
      return { calls, text: answer.text, finishes: answer.steps.map((step) => step.finishReason) };
    },

    async "tools, streamed"() {
      const calls = [];
      const answer = streamText({ ...twoSteps(calls), onError: raised });
      const parts = await all(answer.fullStream);
      const argued = parts.filter((part) => part.type === "tool-input-delta").map((part) => part.delta);
      const finishes = (await answer.steps).map((step) => step.finishReason);
      return { calls, text: await answer.text, finishes, argued: argued.join("") };
    },

    async "structured, as output"() {
      return (await generateText({ ...asked, messages: report, output: Output.object({ schema: Weather }) })).output;
    },

    async "structured, streamed"() {
      const answer = streamObject({ ...asked, messages: report, schema: Weather, onError: raised });
      const parts = await all(answer.partialObjectStream);
      return { last: parts.at(-1), ...(await answer.object) };
    },

    async "one of several"() {
      const output = Output.choice({ options: ["sunny", "rainy"] });
      return (await generateText({ ...asked, messages: report, output })).output;
    },
  };
}

function raised({ error }) {
  throw error;
}

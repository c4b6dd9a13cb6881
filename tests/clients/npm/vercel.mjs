// The usual calls of Vercel's ai, whichever provider the model is of.

import { generateObject, generateText, Output, streamObject, streamText } from "ai";
import { all, goOn, hello, most, name, report, Weather } from "./calls.mjs";

export function usualCalls(model) {
  const asked = { model, maxRetries: 0, maxOutputTokens: most };

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

// Vercel's ai with @ai-sdk/openai-compatible, as its documentation sets up a server of one's own.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { run, server } from "./calls.mjs";
import { usualCalls } from "./vercel.mjs";

const provider = createOpenAICompatible({ ...server, name: "adaptrix", includeUsage: true, supportsStructuredOutputs: true });

await run(usualCalls(provider));

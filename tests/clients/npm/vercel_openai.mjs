// Vercel's ai with @ai-sdk/openai as it comes: on /v1/responses.

import { createOpenAI } from "@ai-sdk/openai";
import { run, server } from "./calls.mjs";
import { usualCalls } from "./vercel.mjs";

await run(usualCalls(createOpenAI(server)));

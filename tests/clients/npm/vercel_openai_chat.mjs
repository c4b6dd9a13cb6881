// Vercel's ai with @ai-sdk/openai, on /v1/chat/completions.

import { createOpenAI } from "@ai-sdk/openai";
import { run, server } from "./calls.mjs";
import { usualCalls } from "./vercel.mjs";

await run(usualCalls(createOpenAI(server).chat));

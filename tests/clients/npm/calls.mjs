// What every client is asked, and how its script tells what came back.
//
// A script gives one function for each call. Each runs whatever became of the others; the script prints one JSON object,
// by call: what the function gave, or {failed: all that the error says}.

import { z } from "zod";

export const server = { baseURL: process.env.ADAPTRIX_BASE_URL, apiKey: process.env.ADAPTRIX_KEY };
export const model = process.env.ADAPTRIX_MODEL;

// The one that calls functions by itself.
export const able = process.env.ADAPTRIX_TOOL_MODEL;

// So small a model sometimes goes on and on.
export const most = 200;

export const hello = [{ role: "user", content: "Say hello." }];
export const name = [{ role: "user", content: "My name is Ada." }];
export const goOn = { role: "user", content: "What is my name?" };
export const report = [{ role: "user", content: "The weather in Paris: 21 degrees and dry." }];

export const Weather = z.object({
  city: z.enum(["Paris", "London", "Rome"]),
  celsius: z.int(),
  raining: z.boolean(),
});

// A function that the model may call. `asked` gathers the arguments of its calls.
export const question = [{ role: "user", content: "What is the weather in Paris?" }];
export const City = z.object({ city: z.enum(["Paris", "London", "Rome"]) });
export const described = "The weather in a city";

export function weatherIn(asked) {
  return (of) => {
    asked.push(of);
    return JSON.stringify({ city: of.city, celsius: 21 });
  };
}

export async function run(calls) {
  const told = {};
  for (const [name, call] of Object.entries(calls)) {
    console.error(`${name} …`);
    try {
      told[name] = await call();
    } catch (error) {
      told[name] = { failed: everything(error) };
    }
  }
  console.log(JSON.stringify(told));
}

export async function all(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

function everything(error) {
  const parts = [error.stack ?? String(error)];
  for (const about of ["status", "code", "error", "url", "requestBodyValues", "responseBody", "text"]) {
    if (error[about] !== undefined) parts.push(`${about}: ${JSON.stringify(error[about])}`);
  }
  if (error.cause) parts.push(`because of: ${everything(error.cause)}`);
  return parts.join("\n");
}

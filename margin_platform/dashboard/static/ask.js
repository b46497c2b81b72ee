// Questions to the server about one account, one symbol or the book.
const ANSWER_MS = 10_000;

// The reply; it rejects when there is none in time.
export function ask(path, parameters = {}) {
  return fetch(`${path}?${new URLSearchParams(parameters)}`, { signal: AbortSignal.timeout(ANSWER_MS) });
}

// The answer, or null when there is none: for questions that are asked again anyway.
export async function askQuietly(path, parameters) {
  try {
    const reply = await ask(path, parameters);
    return reply.ok ? await reply.json() : null;
  } catch {
    return null;
  }
}

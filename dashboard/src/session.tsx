// Who uses the page: a key that is pasted, or an identity that this site has established (api_key_user).
import { useEffect, useRef, useState } from "preact/hooks";

import { type Me, Problem, me, useKey } from "./api";
import { ProblemBox, asProblem } from "./ui";

const STORED = "api-key";

export function storedKey(): string | null {
  return sessionStorage.getItem(STORED);
}

export function forgetKey(): void {
  sessionStorage.removeItem(STORED);
  useKey(null);
}

// From now on by this key; kept where the one before was.
export function changeKey(key: string): void {
  if (storedKey() !== null) sessionStorage.setItem(STORED, key);
  useKey(key);
}

// Whom the page acts for, or why for nobody.
export async function whoIs(key: string | null): Promise<Me> {
  useKey(key);
  try {
    return await me();
  } catch (error) {
    useKey(null);
    throw error;
  }
}

const WHY: Record<string, string> = {
  expired_api_key: "This key has expired. Sign in with another one, or ask for a new one.",
  invalid_api_key: "This key is not known here, or has been revoked.",
  malformed_api_key: "This is no key: it has characters that no key has, or is too long.",
};

export function SignIn({ ended, onSignedIn }: { ended: Problem | undefined; onSignedIn: (me: Me) => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | undefined>(ended);
  const key = useRef<HTMLInputElement>(null);
  const keep = useRef<HTMLInputElement>(null);
  useEffect(() => key.current?.focus(), []);
  const signIn = async (event: Event) => {
    event.preventDefault();
    const given = key.current!.value.trim();
    if (busy || !given) return;
    setBusy(true);
    try {
      if (/[^\x21-\x7e]/.test(given)) throw new Problem(401, "malformed_api_key", "");
      const who = await whoIs(given);
      if (keep.current!.checked) sessionStorage.setItem(STORED, given);
      onSignedIn(who);
    } catch (error) {
      setProblem(asProblem(error));
      setBusy(false);
      key.current!.select();
    }
  };
  const why = problem && (WHY[problem.code] ?? problem.message);
  return (
    <main class="sign-in">
      <h1>{document.title}</h1>
      <p>Sign in with one of your API keys to see and manage your keys, and what they were used for.</p>
      <form onSubmit={signIn} autocomplete="off">
        <label for="key">API key</label>
        <input id="key" ref={key} type="password" autocomplete="off" spellcheck={false} autocapitalize="off" required aria-invalid={!!why} aria-describedby="why" placeholder="ia_…" />
        <p id="why" role="alert" class="why">
          {problem && problem.status === 401 ? why : ""}
        </p>
        {problem && problem.status !== 401 && <ProblemBox problem={problem} />}
        <label class="check">
          <input ref={keep} type="checkbox" /> Stay signed in when this tab is reloaded
        </label>
        <button type="submit" class="primary" disabled={busy} aria-busy={busy}>
          {busy ? "One moment …" : "Sign in"}
        </button>
      </form>
      <p class="quiet small">The key is kept in the memory of this tab, is sent to this site alone, and is gone when you close the tab.</p>
    </main>
  );
}

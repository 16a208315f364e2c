// What the views have in common: the session, messages, times, dialogs.
import type { ComponentChildren } from "preact";
import { createContext } from "preact";
import { useContext, useEffect, useId, useRef, useState } from "preact/hooks";

import { type MadeKey, Problem } from "./api";
import { ago, time } from "./format";

// --- the session, as far as the views need it ---

export interface Session {
  // Says something in passing, aloud for screen readers.
  say: (message: string) => void;
  // A key that is refused ends the session.
  end: (problem: Problem) => void;
  // But not while something is shown that is shown once.
  hold: (on: boolean) => void;
  // The key of this session was replaced by this one.
  adopt: (key: MadeKey) => void;
  // Whether this key (or this site's identity) has a scope.
  may: (scope: string) => boolean;
}

export const SessionContext = createContext<Session>(null!);
export const useSession = () => useContext(SessionContext);

export function isCancelled(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem(0, "error", String(error));
}

// What went wrong, for whoever asked to show it; a key that is refused ends the session besides.
export function failureOf(error: unknown, session: Session): Problem {
  const problem = asProblem(error);
  if (problem.endsSession) session.end(problem);
  return problem;
}

// --- in place of something ---

export function Skeleton() {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      <span />
      <span />
      <span />
    </div>
  );
}

const WHAT_FAILED: Record<string, string> = {
  offline: "You are offline",
  unreachable: "The server cannot be reached",
  insufficient_scope: "This key may not do this",
  service_unavailable: "Not available just now",
  api_key_unavailable: "Keys cannot be checked just now",
  broken_off: "Not complete",
};

export function ProblemBox({ problem, retry, stale }: { problem: Problem; retry?: () => void; stale?: boolean }) {
  return (
    <div class="box problem" role="alert">
      <div>
        <strong>{WHAT_FAILED[problem.code] ?? "This did not work"}</strong>
        <p>
          {problem.message}
          {stale && " What is shown is from before."}
        </p>
      </div>
      {retry && problem.status !== 403 && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="box empty">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

// --- small things ---

// Relative, exact on hover and for machines.
export function Time({ iso, none }: { iso: string | null; none: string }) {
  if (!iso) return <span class="quiet">{none}</span>;
  return (
    <time dateTime={iso} title={time(iso)}>
      {ago(iso)}
    </time>
  );
}

// A text of somebody's, in whatever direction it is written: it moves nothing beside it.
export function Text({ children }: { children: string }) {
  return <bdi class="text">{children}</bdi>;
}

// --- dialogs ---

// A modal dialog of the browser's own: Escape closes it, and the focus goes back to where it was.
export function Dialog({ title, onClose, locked, wide, children }: { title: string; onClose: () => void; locked?: boolean; wide?: boolean; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const before = document.activeElement;
    const element = dialog.current!;
    element.showModal();
    return () => {
      element.close();
      // A dialog that is taken out of the page does not give the focus back itself.
      setTimeout(() => before instanceof HTMLElement && before.isConnected && before.focus());
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide ? "wide" : undefined}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        if (!locked) onClose();
      }}
      onClose={() => {
        // A browser closes it at the second Escape, whatever is said to the first.
        if (!dialog.current?.isConnected) return;
        if (locked) dialog.current.showModal();
        else onClose();
      }}
    >
      <h2 id={heading}>{title}</h2>
      {children}
    </dialog>
  );
}

// A form in a dialog that sends something once at a time, and says why it failed.
export function ActionForm({ act, submit, danger, onClose, children }: { act: () => Promise<void>; submit: string; danger?: boolean; onClose: () => void; children?: ComponentChildren }) {
  const session = useSession();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const send = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    try {
      await act();
    } catch (error) {
      setProblem(failureOf(error, session));
      setBusy(false);
    }
  };
  return (
    <form onSubmit={send}>
      {children}
      {problem && <ProblemBox problem={problem} />}
      <div class="actions">
        <button type="button" onClick={onClose} disabled={busy}>
          Cancel
        </button>
        <button type="submit" class={danger ? "danger" : "primary"} disabled={busy} aria-busy={busy}>
          {busy ? "One moment …" : submit}
        </button>
      </div>
    </form>
  );
}

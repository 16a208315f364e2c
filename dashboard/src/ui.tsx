// What the views have in common: loading, dialogs, messages, times.
import type { ComponentChildren } from "preact";
import { createContext } from "preact";
import { useCallback, useContext, useEffect, useId, useRef, useState } from "preact/hooks";

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

// --- loading ---

export interface Loaded<T> {
  data: T | undefined;
  problem: Problem | undefined;
  loading: boolean;
  reload: () => void;
  set: (data: T) => void;
}

// What `load` gives; asked again when `key` changes, when the page is looked at again, or is online again. The last data stay meanwhile.
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const session = useSession();
  const [state, setState] = useState<{ data?: T; problem?: Problem; loading: boolean }>({ loading: true });
  const [round, setRound] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    const controller = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    latest.current(controller.signal).then(
      (data) => controller.signal.aborted || setState({ data, loading: false }),
      (error) => {
        if (controller.signal.aborted) return;
        const problem = asProblem(error);
        if (problem.endsSession) session.end(problem);
        setState((before) => ({ data: before.data, problem, loading: false }));
      },
    );
    return () => controller.abort();
  }, [key, round]);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  useEffect(() => {
    const look = () => document.visibilityState === "visible" && reload();
    document.addEventListener("visibilitychange", look);
    window.addEventListener("online", reload);
    return () => {
      document.removeEventListener("visibilitychange", look);
      window.removeEventListener("online", reload);
    };
  }, []);
  return { data: state.data, problem: state.problem, loading: state.loading, reload, set: (data) => setState({ data, loading: false }) };
}

export interface Pages<T> extends Loaded<T[]> {
  more: boolean;
  loadMore: () => void;
}

// A list that is read in pages, one behind the other.
export function usePages<T>(key: string, load: (after?: string) => Promise<{ items: T[]; next: string | null }>): Pages<T> {
  const session = useSession();
  const [next, setNext] = useState<string | null>(null);
  const first = useLoad(key, async () => {
    const page = await load();
    setNext(page.next);
    return page.items;
  });
  const loadMore = () => {
    if (!next) return;
    load(next).then(
      (page) => {
        first.set([...(first.data ?? []), ...page.items]);
        setNext(page.next);
      },
      (error) => session.say(asProblem(error).message),
    );
  };
  return { ...first, more: next !== null, loadMore };
}

// The list, or what there is in its place: while it loads, when it fails, where there is nothing.
export function Shown<T>({ of, empty, children }: { of: Loaded<T>; empty?: (data: T) => ComponentChildren; children: (data: T) => ComponentChildren }) {
  const nothing = of.data !== undefined && empty ? empty(of.data) : undefined;
  return (
    <>
      {of.problem && !of.problem.endsSession && <ProblemBox problem={of.problem} retry={of.reload} stale={of.data !== undefined} />}
      {of.data === undefined && of.loading && <Skeleton />}
      {of.data !== undefined && (nothing || children(of.data))}
    </>
  );
}

// A list as a table, which on a phone is a card for each row; its rows are `children`.
export function PagesTable<T>({ of, columns, actions, children }: { of: Pages<T>; columns: string[]; actions?: boolean; children: ComponentChildren }) {
  return (
    <>
      <table class="cards">
        <thead>
          <tr>
            {columns.map((title) => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
            {actions && (
              <th scope="col">
                <span class="hidden">Actions</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
      {of.more && (
        <button type="button" class="more" onClick={of.loadMore}>
          Show more
        </button>
      )}
    </>
  );
}

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
      const failed = asProblem(error);
      if (failed.endsSession) session.end(failed);
      setProblem(failed);
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

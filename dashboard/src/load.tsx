// What is asked of the server for a view, and what stands in its place while it loads, when that fails, and where there is nothing.
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import type { Problem } from "./api";
import { ProblemBox, Skeleton, failureOf, useSession } from "./ui";

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
        const problem = failureOf(error, session);
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
      (error) => session.say(failureOf(error, session).message),
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

// The page: who is signed in, and which of the views is shown.
import { render } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";

import "./page.css";
import { Activity } from "./activity";
import { type Me, Problem } from "./api";
import { Conversations } from "./conversations";
import { Keys } from "./keys";
import { SignIn, changeKey, forgetKey, storedKey, whoIs } from "./session";
import { type Session, ProblemBox, SessionContext, Skeleton, Text, asProblem } from "./ui";
import { Usage } from "./usage";

const VIEWS = [
  ["keys", "API keys"],
  ["usage", "Usage"],
  ["conversations", "Conversations"],
  ["activity", "Activity"],
] as const;
type View = (typeof VIEWS)[number][0];

function viewOf(hash: string): View {
  return VIEWS.find(([view]) => `#${view}` === hash)?.[0] ?? "keys";
}

type State = { is: "asking" } | { is: "unreachable"; problem: Problem } | { is: "out"; ended?: Problem } | { is: "in"; me: Me };

function Page() {
  const [state, setState] = useState<State>({ is: "asking" });
  // A key of before, else whom this site knows.
  const begin = useCallback(() => {
    setState({ is: "asking" });
    const stored = storedKey();
    whoIs(stored).then(
      (me) => setState({ is: "in", me }),
      (error) => {
        const problem = asProblem(error);
        if (problem.status === 401) {
          forgetKey();
          setState({ is: "out", ended: stored ? problem : undefined });
        } else setState({ is: "unreachable", problem });
      },
    );
  }, []);
  useEffect(begin, []);
  const end = useCallback((problem?: Problem) => {
    forgetKey();
    setState({ is: "out", ended: problem });
  }, []);
  switch (state.is) {
    case "asking":
      return (
        <main class="sign-in">
          <Skeleton />
        </main>
      );
    case "unreachable":
      return (
        <main class="sign-in">
          <h1>{document.title}</h1>
          <ProblemBox problem={state.problem} retry={begin} />
        </main>
      );
    case "out":
      return <SignIn ended={state.ended} onSignedIn={(me) => setState({ is: "in", me })} />;
    case "in":
      return <SignedIn me={state.me} end={end} onChange={(me) => setState({ is: "in", me })} />;
  }
}

function SignedIn({ me, end, onChange }: { me: Me; end: (problem?: Problem) => void; onChange: (me: Me) => void }) {
  const [view, setView] = useState(viewOf(location.hash));
  const [message, setMessage] = useState("");
  useEffect(() => {
    const follow = () => setView(viewOf(location.hash));
    window.addEventListener("hashchange", follow);
    return () => window.removeEventListener("hashchange", follow);
  }, []);
  const held = useRef<{ on: boolean; end?: Problem }>({ on: false });
  const session: Session = useMemo(() => {
    const scopes = me.key?.scopes;
    return {
      say: setMessage,
      end: (problem) => {
        if (held.current.on) held.current.end = problem;
        else end(problem);
      },
      hold: (on) => {
        const { end: waits } = held.current;
        held.current = { on };
        if (!on && waits) end(waits);
      },
      adopt: (key) => {
        changeKey(key.key);
        onChange({ ...me, key });
      },
      may: (scope) => !scopes || scopes.includes("*") || scopes.includes(scope),
    };
  }, [me, end, onChange]);
  useEffect(() => {
    if (!message) return;
    const timer = setTimeout(() => setMessage(""), 8000);
    return () => clearTimeout(timer);
  }, [message]);
  return (
    <SessionContext.Provider value={session}>
      <header>
        <h1>{document.title}</h1>
        <nav aria-label="Views">
          {VIEWS.map(([each, title]) => (
            <a key={each} href={`#${each}`} aria-current={view === each ? "page" : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <div class="who">
          <span>
            <Text>{me.user}</Text>
            {me.key && (
              <span class="quiet small">
                {" "}
                by <Text>{me.key.name}</Text>
              </span>
            )}
          </span>
          {me.key && (
            <button type="button" onClick={() => end()}>
              Sign out
            </button>
          )}
        </div>
      </header>
      <main>
        {view === "keys" && <Keys own={me.key} />}
        {view === "usage" && <Usage />}
        {view === "conversations" && <Conversations />}
        {view === "activity" && <Activity />}
      </main>
      <div role="status" class={message ? "toast shown" : "toast"}>
        {message}
      </div>
    </SessionContext.Provider>
  );
}

render(<Page />, document.getElementById("page")!);

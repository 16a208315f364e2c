// The dialogs in which a key is made, shown once, renamed, rotated, revoked.
import { useRef, useState } from "preact/hooks";

import { type InForce, type Key, type MadeKey, createKey, newIdempotencyKey, renameKey, revokeKey, rotateKey } from "./api";
import { date } from "./format";
import { ActionForm, Dialog, Text } from "./ui";

const KNOWN_SCOPES: [string, string][] = [
  ["keys:read", "see keys"],
  ["keys:write", "make, change and revoke keys"],
  ["usage:read", "see and export usage"],
  ["usage:write", "import usage"],
  ["conversations:read", "export conversations"],
  ["conversations:write", "import conversations"],
];

// What a change answers, in a sentence.
function force(done: InForce): string {
  if (done.inForce) return done.milliseconds < 1 ? "In force at once." : `In force after ${done.milliseconds} ms.`;
  return `Recorded; not confirmed everywhere yet. It takes effect within ${Math.ceil((done.bound ?? 0) / 1000)} seconds of the servers being back.`;
}

// --- making one ---

const LIVES: [string, string][] = [
  ["never", "Never"],
  ["30", "30 days"],
  ["90", "90 days"],
  ["365", "1 year"],
  ["custom", "On a date"],
];

function NameField({ value = "" }: { value?: string }) {
  return (
    <>
      <label for="name">Name</label>
      <input id="name" name="name" defaultValue={value} required autocomplete="off" dir="auto" autofocus />
      <p class="quiet small">What it is for, at most 200 characters.</p>
    </>
  );
}

function textOf(form: HTMLFormElement, name: string): string {
  return String(new FormData(form).get(name) ?? "");
}

function expiryOf(lives: string, date: string, own: Key | null): string | null {
  if (lives === "never") return null;
  if (lives === "own") return own!.expiresAt;
  if (lives === "custom") return date;
  return new Date(Date.now() + Number(lives) * 86_400_000).toISOString().slice(0, 19) + "Z";
}

// A key may not make one that may do more, or lives longer: so the form begins within what this one may.
export function Create({ own, onClose, onMade }: { own: Key | null; onClose: () => void; onMade: (key: MadeKey) => void }) {
  const limits = own?.scopes && !own.scopes.includes("*") ? own.scopes : null;
  const [limited, setLimited] = useState(limits !== null);
  const [lives, setLives] = useState(own?.expiresAt ? "own" : "never");
  const box = useRef<HTMLDivElement>(null);
  // Sent again after a lost answer it is the same request, to the second; changed, it is another one.
  const sent = useRef({ form: "", idempotencyKey: "", expiresAt: null as string | null });
  const act = async () => {
    const form = box.current!.closest("form")!;
    const chosen = new FormData(form).getAll("scope").map(String);
    const more = textOf(form, "more").split(/[\s,]+/).filter(Boolean);
    const scopes = limited ? [...new Set([...chosen, ...more])] : null;
    const request = JSON.stringify([textOf(form, "name"), scopes, lives, textOf(form, "date")]);
    if (sent.current.form !== request) sent.current = { form: request, idempotencyKey: newIdempotencyKey(), expiresAt: expiryOf(lives, textOf(form, "date"), own) };
    onMade(await createKey(textOf(form, "name"), scopes, sent.current.expiresAt, sent.current.idempotencyKey));
  };
  const choices = limits ? limits.map((scope): [string, string] => [scope, KNOWN_SCOPES.find(([known]) => known === scope)?.[1] ?? ""]) : KNOWN_SCOPES;
  return (
    <Dialog title="Create a key" onClose={onClose}>
      <ActionForm act={act} submit="Create key" onClose={onClose}>
        <div ref={box}>
          <NameField />
          <fieldset>
            <legend>It may do</legend>
            <label class="check">
              <input type="radio" name="all" checked={!limited} disabled={limits !== null} onChange={() => setLimited(false)} /> everything that you may
              {limits && <span class="quiet"> (this key is limited itself)</span>}
            </label>
            <label class="check">
              <input type="radio" name="all" checked={limited} onChange={() => setLimited(true)} /> only this:
            </label>
            {limited && (
              <div class="scopes">
                {choices.map(([scope, meaning]) => (
                  <label key={scope} class="check">
                    <input type="checkbox" name="scope" value={scope} />
                    <span>
                      <code>{scope}</code> <span class="quiet">{meaning}</span>
                    </span>
                  </label>
                ))}
                {!limits && (
                  <>
                    <label for="more">Other scopes of this API, separated by spaces</label>
                    <input id="more" name="more" autocomplete="off" spellcheck={false} />
                  </>
                )}
              </div>
            )}
          </fieldset>
          <label for="lives">It ends</label>
          <select id="lives" value={lives} onChange={(event) => setLives(event.currentTarget.value)}>
            {own?.expiresAt && <option value="own">With this key, {date(own.expiresAt)}</option>}
            {LIVES.filter(([value]) => value !== "never" || !own?.expiresAt).map(([value, title]) => (
              <option key={value} value={value}>
                {title}
              </option>
            ))}
          </select>
          {lives === "custom" && (
            <>
              <label for="date">On</label>
              <input id="date" name="date" type="date" required min={new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)} />
              <p class="quiet small">It ends when this day begins in UTC.</p>
            </>
          )}
        </div>
      </ActionForm>
    </Dialog>
  );
}

// The one moment in which the key itself is there.
export function Made({ of, onClose }: { of: MadeKey; onClose: () => void }) {
  const [copied, setCopied] = useState<boolean>();
  const field = useRef<HTMLInputElement>(null);
  const copy = async () => {
    field.current!.select();
    try {
      await navigator.clipboard.writeText(of.key);
      setCopied(true);
    } catch {
      setCopied(document.execCommand("copy")); // where the page is not secure, which the other one needs
    }
  };
  return (
    <Dialog title="Here is your key" onClose={onClose} locked wide>
      <div class="box warning" role="alert">
        <strong>Copy it now.</strong> It is shown this once and never again: only its fingerprint is stored.
      </div>
      <label for="made">
        <Text>{of.name}</Text>
      </label>
      <div class="copy">
        <input id="made" ref={field} value={of.key} readOnly onFocus={(event) => event.currentTarget.select()} spellcheck={false} />
        <button type="button" class="primary" onClick={copy} autofocus>
          Copy
        </button>
      </div>
      <p role="status" class="small">
        {copied === undefined ? "" : copied ? "Copied." : "It could not be copied: select it and copy it by hand."}
      </p>
      <p class={of.inForce ? "quiet small" : "box warning"}>{force(of)}</p>
      <div class="actions">
        <button type="button" onClick={onClose}>
          I have copied it
        </button>
      </div>
    </Dialog>
  );
}

// --- changing one ---

export function Rename({ of, onClose, onDone }: { of: Key; onClose: () => void; onDone: (message: string) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const act = async () => {
    const name = textOf(box.current!.closest("form")!, "name");
    const done = await renameKey(of.id, name);
    onDone(`Renamed to “${name}”. ${force(done)}`);
  };
  return (
    <Dialog title="Rename a key" onClose={onClose}>
      <ActionForm act={act} submit="Rename" onClose={onClose}>
        <div ref={box}>
          <NameField value={of.name} />
        </div>
      </ActionForm>
    </Dialog>
  );
}

export function Rotate({ of, onClose, onMade }: { of: Key; onClose: () => void; onMade: (key: MadeKey) => void }) {
  const [overlap, setOverlap] = useState("24h");
  const idempotencyKey = useRef(newIdempotencyKey());
  return (
    <Dialog title="Rotate a key" onClose={onClose}>
      <ActionForm act={async () => onMade(await rotateKey(of.id, overlap, idempotencyKey.current))} submit="Make the new key" onClose={onClose}>
        <p>
          A new key takes the place of “<Text>{of.name}</Text>” (<code>{of.prefix}…</code>), with the same name, scopes and end.
        </p>
        <label for="overlap">The old key works for</label>
        <select
          id="overlap"
          value={overlap}
          onChange={(event) => {
            setOverlap(event.currentTarget.value);
            idempotencyKey.current = newIdempotencyKey();
          }}
        >
          <option value="0s">no longer</option>
          <option value="1h">another hour</option>
          <option value="24h">another 24 hours</option>
          <option value="7d">another 7 days</option>
        </select>
      </ActionForm>
    </Dialog>
  );
}

export function Revoke({ of, isOwn, onClose, onDone }: { of: Key; isOwn: boolean; onClose: () => void; onDone: (message: string) => void }) {
  const act = async () => {
    const done = await revokeKey(of.id);
    onDone(`“${of.name}” is revoked. ${force(done)}`);
  };
  return (
    <Dialog title="Revoke a key" onClose={onClose}>
      <ActionForm act={act} submit="Revoke it" danger onClose={onClose}>
        <p>
          “<Text>{of.name}</Text>” (<code>{of.prefix}…</code>) is refused from now on, wherever it is used. This cannot be undone.
        </p>
        {isOwn && (
          <p class="box warning">
            <strong>You are signed in with this key.</strong> You will be signed out.
          </p>
        )}
      </ActionForm>
    </Dialog>
  );
}

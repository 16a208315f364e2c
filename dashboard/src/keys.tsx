// The list of keys, and what can be done with each.
import { useState } from "preact/hooks";

import { type Key, type MadeKey, listKeys } from "./api";
import { ago, date, time } from "./format";
import { Create, Made, Rename, Revoke, Rotate } from "./key_dialogs";
import { PagesTable, Shown, usePages } from "./load";
import { Empty, Text, Time, useSession } from "./ui";

const SOON = 7 * 86_400_000;

type State = "active" | "soon" | "expired" | "revoked";

function stateOf(key: Key): State {
  if (!key.isActive) return "revoked";
  if (!key.expiresAt) return "active";
  const left = Date.parse(key.expiresAt) - Date.now();
  return left <= 0 ? "expired" : left < SOON ? "soon" : "active";
}

const STATE: Record<State, string> = { active: "Active", soon: "Ends soon", expired: "Expired", revoked: "Revoked" };

export function Keys({ own }: { own: Key | null }) {
  const session = useSession();
  const keys = usePages<Key>("keys", async (after) => {
    const page = await listKeys(after);
    return { items: page.keys, next: page.next };
  });
  const [dialog, setDialog] = useState<{ what: "create" | "rename" | "rotate" | "revoke"; key?: Key }>();
  const [made, setMade] = useState<MadeKey>();
  const [activeOnly, setActiveOnly] = useState(false);
  const close = () => setDialog(undefined);
  const done = (message: string) => {
    close();
    session.say(message);
    keys.reload();
  };
  const show = (key: MadeKey) => {
    session.hold(true);
    close();
    setMade(key);
    keys.reload();
  };
  const hide = () => {
    setMade(undefined);
    session.hold(false);
  };
  const shown = (keys.data ?? []).filter((key) => !activeOnly || ["active", "soon"].includes(stateOf(key)));
  const writes = session.may("keys:write");
  return (
    <section aria-labelledby="keys-title">
      <div class="bar">
        <h2 id="keys-title">Your API keys</h2>
        <label class="check">
          <input type="checkbox" checked={activeOnly} onChange={(event) => setActiveOnly(event.currentTarget.checked)} /> Only active ones
        </label>
        <button type="button" onClick={keys.reload}>
          Refresh
        </button>
        <button type="button" class="primary" disabled={!writes} title={writes ? undefined : "This key has not the scope keys:write"} onClick={() => setDialog({ what: "create" })}>
          Create key
        </button>
      </div>
      <Shown of={keys} empty={(all) => (all.length === 0 ? <Empty title="No keys yet">Create one to use the API.</Empty> : shown.length === 0 && <Empty title="No active keys" />)}>
        {() => (
          <PagesTable of={keys} columns={["Name", "Key", "Scopes", "Created", "Last used", "Expires", "State"]} actions>
            {shown.map((key) => (
              <Row key={key.id} of={key} isOwn={key.id === own?.id} writes={writes} open={(what) => setDialog({ what, key })} />
            ))}
          </PagesTable>
        )}
      </Shown>
      {dialog?.what === "create" && (
        <Create
          own={own}
          onClose={close}
          onMade={show}
        />
      )}
      {dialog?.what === "rename" && <Rename of={dialog.key!} onClose={close} onDone={done} />}
      {dialog?.what === "revoke" && <Revoke of={dialog.key!} isOwn={dialog.key!.id === own?.id} onClose={close} onDone={done} />}
      {dialog?.what === "rotate" && (
        <Rotate
          of={dialog.key!}
          onClose={close}
          onMade={(key) => {
            if (dialog.key!.id === own?.id) session.adopt(key);
            show(key);
          }}
        />
      )}
      {made && <Made of={made} onClose={hide} />}
    </section>
  );
}

function Scopes({ of }: { of: string[] | null }) {
  if (of === null || of.includes("*")) return <span>everything</span>;
  if (of.length === 0) return <span class="quiet">nothing</span>;
  return (
    <span class="tags">
      {of.map((scope) => (
        <span key={scope} class="tag">
          {scope}
        </span>
      ))}
    </span>
  );
}

function Row({ of, isOwn, writes, open }: { of: Key; isOwn: boolean; writes: boolean; open: (what: "rename" | "rotate" | "revoke") => void }) {
  const state = stateOf(of);
  const lives = state === "active" || state === "soon";
  return (
    <tr class={lives ? undefined : "ended"}>
      <th scope="row" data-label="Name">
        <Text>{of.name}</Text>
        {isOwn && <span class="tag own">this session</span>}
      </th>
      <td data-label="Key">
        <code>{of.prefix}…</code>
      </td>
      <td data-label="Scopes">
        <Scopes of={of.scopes} />
      </td>
      <td data-label="Created">
        <Time iso={of.createdAt} none="unknown" />
      </td>
      <td data-label="Last used">
        <Time iso={of.lastUsedAt} none="Never used" />
      </td>
      <td data-label="Expires">
        {of.expiresAt ? (
          <time dateTime={of.expiresAt} title={time(of.expiresAt)}>
            {lives ? ago(of.expiresAt) : date(of.expiresAt)}
          </time>
        ) : (
          <span class="quiet">never</span>
        )}
      </td>
      <td data-label="State">
        <span class={`state ${state}`}>{STATE[state]}</span>
      </td>
      <td class="buttons">
        {lives && writes && (
          <>
            <button type="button" onClick={() => open("rename")} aria-label={`Rename ${of.name}`}>
              Rename
            </button>
            <button type="button" onClick={() => open("rotate")} aria-label={`Rotate ${of.name}`}>
              Rotate
            </button>
            <button type="button" class="danger" onClick={() => open("revoke")} aria-label={`Revoke ${of.name}`}>
              Revoke
            </button>
          </>
        )}
      </td>
    </tr>
  );
}

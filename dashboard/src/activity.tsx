// What was done to the keys: audit_log, as far as it is the holder's.
import { type AuditEntry, listChanges } from "./api";
import { time } from "./format";
import { PagesTable, Shown, usePages } from "./load";
import { Empty, Text, Time } from "./ui";

const ACTIONS: Record<string, string> = {
  created: "Created",
  renamed: "Renamed",
  revoked: "Revoked",
  restored: "Made active again",
  rotated: "Rotated",
  reissued: "Given a new secret",
  moved: "Given to another user",
  changed: "Changed",
  deleted: "Deleted",
  emptied: "All keys were deleted",
};

function who(entry: AuditEntry): string {
  if (entry.source !== "api") return "The operator of this site";
  return entry.actorKeyId ? "You, by a key" : "You";
}

function valueOf(value: unknown): string {
  if (value === null || value === undefined) return "none";
  if (Array.isArray(value)) return value.length ? value.join(" ") : "nothing";
  const text = String(value);
  return /^\d{4}-\d\d-\d\dT/.test(text) ? time(text) : text;
}

function Changes({ of }: { of: AuditEntry }) {
  const names: Record<string, string> = { name: "name", scopes: "scopes", expiresAt: "end", rotatedTo: "new key" };
  const changes = of.action === "created" ? [] : Object.entries(of.changes);
  return (
    <>
      {changes.map(([field, [before, after]]) => (
        <div key={field} class="change">
          {names[field] ?? field}: <Text>{field === "rotatedTo" ? valueOf(after) : `${valueOf(before)} → ${valueOf(after)}`}</Text>
        </div>
      ))}
    </>
  );
}

export function Activity() {
  const list = usePages<AuditEntry>("activity", async (after) => {
    const page = await listChanges(after);
    return { items: page.entries, next: page.next };
  });
  return (
    <section aria-labelledby="activity-title">
      <div class="bar">
        <h2 id="activity-title">What was done to your keys</h2>
        <button type="button" onClick={list.reload}>
          Refresh
        </button>
      </div>
      <Shown of={list} empty={(all) => all.length === 0 && <Empty title="Nothing yet" />}>
        {(all) => (
          <PagesTable of={list} columns={["When", "What", "Key", "Who", "From", "Changes"]}>
            {all.map((entry, index) => (
              <tr key={`${entry.at} ${index}`}>
                <td data-label="When">
                  <Time iso={entry.at} none="" />
                </td>
                <th scope="row" data-label="What">
                  {ACTIONS[entry.action] ?? entry.action}
                </th>
                <td data-label="Key">
                  <Text>{entry.keyName ?? ""}</Text> {entry.keyPrefix && <code>{entry.keyPrefix}…</code>}
                </td>
                <td data-label="Who">{who(entry)}</td>
                <td data-label="From">{entry.address ?? <span class="quiet">–</span>}</td>
                <td data-label="Changes">
                  <Changes of={entry} />
                </td>
              </tr>
            ))}
          </PagesTable>
        )}
      </Shown>
    </section>
  );
}

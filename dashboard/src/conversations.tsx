// Which conversations are stored, to be taken out and brought in.
import { useState } from "preact/hooks";

import { type Conversation, type Query, listConversations } from "./api";
import { number } from "./format";
import { ExportButtons, ImportDialog } from "./transfer";
import { PagesTable, Shown, usePages } from "./load";
import { Empty, Text, Time, useSession } from "./ui";

export function Conversations() {
  const session = useSession();
  const [days, setDays] = useState<{ from: string; to: string }>({ from: "", to: "" });
  const [importing, setImporting] = useState(false);
  const query: Query = { startDate: days.from || undefined, endDate: days.to || undefined };
  const list = usePages<Conversation>(JSON.stringify(query), async (after) => {
    const page = await listConversations(query, after);
    return { items: page.data, next: page.next };
  });
  const writes = session.may("conversations:write");
  return (
    <section aria-labelledby="conversations-title">
      <div class="bar">
        <h2 id="conversations-title">Conversations</h2>
        <ExportButtons what="conversations" query={query} formats={["json"]} />
        <button type="button" disabled={!writes} title={writes ? undefined : "This key has not the scope conversations:write"} onClick={() => setImporting(true)}>
          Import
        </button>
      </div>
      <div class="range">
        <label>
          Created from <input type="date" value={days.from} max={days.to || undefined} onChange={(event) => setDays({ ...days, from: event.currentTarget.value })} />
        </label>
        <label>
          to <input type="date" value={days.to} min={days.from || undefined} onChange={(event) => setDays({ ...days, to: event.currentTarget.value })} />
        </label>
        <span class="quiet small">Days are in UTC.</span>
      </div>
      <Shown of={list} empty={(all) => all.length === 0 && <Empty title="No conversations">{days.from || days.to ? "None was created in these days." : "None is stored of you. What an export wrote can be imported."}</Empty>}>
        {(all) => (
          <PagesTable of={list} columns={["Title", "Model", "Messages", "Created", "Changed"]} actions>
            {all.map((one) => (
              <tr key={one.id}>
                <th scope="row" data-label="Title">
                  <Text>{one.title || one.id}</Text>
                </th>
                <td data-label="Model">{one.model || <span class="quiet">none</span>}</td>
                <td data-label="Messages">{number(String(one.messages))}</td>
                <td data-label="Created">
                  <Time iso={one.createdAt} none="" />
                </td>
                <td data-label="Changed">
                  <Time iso={one.updatedAt} none="" />
                </td>
                <td class="buttons">
                  <ExportButtons what="conversations" query={{ conversationId: one.id }} formats={["json"]} compact label={() => `Export ${one.title || one.id}`} />
                </td>
              </tr>
            ))}
          </PagesTable>
        )}
      </Shown>
      {importing && <ImportDialog what="conversations" onClose={() => setImporting(false)} onImported={list.reload} />}
    </section>
  );
}

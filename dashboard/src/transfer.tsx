// Files: exports with progress and a way to stop them, imports with a look at what they would do.
import { useEffect, useRef, useState } from "preact/hooks";

import { type ImportResult, type Problem, type Query, type RowError, download, upload } from "./api";
import { plural, size } from "./format";
import { Dialog, ProblemBox, failureOf, isCancelled, useSession } from "./ui";

type What = "usage" | "conversations";

function save(name: string, file: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Buttons for the formats that there are. What is exported is what `query` selects, whatever is shown by then.
export function ExportButtons({ what, query, formats, label, compact }: { what: What; query: Query; formats: ("csv" | "json")[]; label?: (format: string) => string; compact?: boolean }) {
  const session = useSession();
  const [running, setRunning] = useState<{ format: string; bytes: number }>();
  const [problem, setProblem] = useState<Problem>();
  const controller = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => controller.current?.abort(), []);
  const start = async (format: string) => {
    controller.current = new AbortController();
    setProblem(undefined);
    setRunning({ format, bytes: 0 });
    try {
      const done = await download(what, { ...query, format }, (bytes) => setRunning({ format, bytes }), controller.current.signal);
      save(done.name, done.file);
      session.say(`${done.name} is saved: ${size(done.file.size)}.`);
    } catch (error) {
      if (isCancelled(error)) session.say("The export was cancelled; nothing was saved.");
      else setProblem(failureOf(error, session));
    }
    setRunning(undefined);
  };
  if (running)
    return (
      <div class="transfer">
        <progress aria-label="Export" />
        <span role="status">{running.bytes ? size(running.bytes) : "Asking …"}</span>
        <button type="button" onClick={() => controller.current!.abort()}>
          Cancel
        </button>
      </div>
    );
  return (
    <>
      <div class={compact ? "buttons" : "bar-buttons"}>
        {formats.map((format) => (
          <button key={format} type="button" onClick={() => start(format)} aria-label={label?.(format)}>
            {compact ? "Export" : `Export ${format.toUpperCase()}`}
          </button>
        ))}
      </div>
      {problem && <ProblemBox problem={problem} />}
    </>
  );
}

const KIND: Record<What, { row: string; accept: string; files: string }> = {
  usage: { row: "row", accept: ".csv,.json,text/csv,application/json", files: "a CSV or JSON file that an export wrote" },
  conversations: { row: "conversation", accept: ".json,application/json", files: "a JSON file that an export wrote" },
};

function Errors({ of }: { of: RowError[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="What is wrong">
      <table class="figures">
        <thead>
          <tr>
            <th scope="col">Row</th>
            <th scope="col">Field</th>
            <th scope="col">What is wrong</th>
          </tr>
        </thead>
        <tbody>
          {of.slice(0, 200).map((error, index) => (
            <tr key={index}>
              <td>{error.row ?? ""}</td>
              <td>{error.field ?? ""}</td>
              <td>{error.message}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

// First what it would do, without doing it; then the same file again, in earnest.
export function ImportDialog({ what, onClose, onImported }: { what: What; onClose: () => void; onImported: () => void }) {
  const session = useSession();
  const kind = KIND[what];
  const [file, setFile] = useState<File>();
  const [step, setStep] = useState<"choose" | "checking" | "checked" | "importing">("choose");
  const [sent, setSent] = useState(0);
  const [preview, setPreview] = useState<ImportResult>();
  const [problem, setProblem] = useState<Problem>();
  const controller = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => controller.current?.abort(), []);
  const busy = step === "checking" || step === "importing";

  const run = async (chosen: File, dryRun: boolean) => {
    controller.current = new AbortController();
    setStep(dryRun ? "checking" : "importing");
    setProblem(undefined);
    setSent(0);
    try {
      const result = await upload(what, chosen, dryRun, setSent, controller.current.signal);
      if (dryRun) {
        setPreview(result);
        setStep("checked");
        return;
      }
      onImported();
      session.say(`${plural(result.imported, kind.row)} imported, ${plural(result.skipped, kind.row)} skipped.`);
      onClose();
    } catch (error) {
      setStep("choose");
      if (isCancelled(error)) return;
      setProblem(failureOf(error, session));
    }
  };
  const choose = (chosen: File | undefined) => {
    setFile(chosen);
    setPreview(undefined);
    setProblem(undefined);
    setStep("choose");
    if (chosen) run(chosen, true);
  };
  return (
    <Dialog title={`Import ${what}`} onClose={onClose} locked={step === "importing"}>
      <label for="file">Choose {kind.files}</label>
      <input id="file" type="file" accept={kind.accept} disabled={busy} onChange={(event) => choose(event.currentTarget.files?.[0])} />
      {busy && file && (
        <div class="transfer">
          <progress aria-label={step === "checking" ? "Checking" : "Importing"} {...(sent < file.size ? { value: sent, max: file.size } : {})} />
          <span role="status">
            {step === "checking" ? "Looking at it" : "Importing"}: {size(sent)} of {size(file.size)}
          </span>
          <button type="button" onClick={() => controller.current!.abort()}>
            Cancel
          </button>
        </div>
      )}
      {problem && (
        <>
          <ProblemBox problem={problem} />
          {problem.errors.length > 0 && <Errors of={problem.errors} />}
        </>
      )}
      {step === "checked" && preview && (
        <div class="box" role="status">
          <strong>{preview.imported === 0 ? "There is nothing new in it." : `${plural(preview.imported, kind.row)} will be imported.`}</strong>
          <p>
            {preview.skipped > 0 && `${plural(preview.skipped, kind.row)} ${preview.skipped === 1 ? "is" : "are"} there already and will be skipped. `}
            Nothing has been imported yet.
          </p>
        </div>
      )}
      <div class="actions">
        <button type="button" onClick={onClose} disabled={step === "importing"}>
          {step === "checked" && preview?.imported === 0 ? "Close" : "Cancel"}
        </button>
        <button type="button" class="primary" disabled={step !== "checked" || !preview?.imported} onClick={() => run(file!, false)}>
          Import
        </button>
      </div>
    </Dialog>
  );
}

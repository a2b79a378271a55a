/** The verdict about a document, a moment after it was typed. What judges it is loaded when a form is first open. */
import { useEffect, useState } from 'preact/hooks';
import type { DocumentVerdict, judgeDocument, placeFaults } from './judge-document.ts';

interface Judge {
  readonly judgeDocument: typeof judgeDocument;
  readonly placeFaults: typeof placeFaults;
}

export interface Judged {
  /** Of the text as it is now; undefined while that is not known. */
  readonly verdict: DocumentVerdict | undefined;
  /** Undefined until it is here. */
  readonly judge: Judge | undefined;
  /** True where it could not be loaded: the control plane judges it alone. */
  readonly isMissing: boolean;
}

/** So long nobody types. */
const restMs = 150;

export function useJudge(text: string): Judged {
  const [judge, setJudge] = useState<Judge>();
  const [isMissing, setMissing] = useState(false);
  const [seen, setSeen] = useState<{ readonly text: string; readonly verdict: DocumentVerdict }>();
  useEffect(() => {
    let isGone = false;
    import('./judge-document.ts').then(
      ({ judgeDocument, placeFaults }) => isGone || setJudge({ judgeDocument, placeFaults }),
      () => isGone || setMissing(true),
    );
    return () => {
      isGone = true;
    };
  }, []);
  useEffect(() => {
    if (!judge || text.trim() === '') return;
    const timer = setTimeout(() => setSeen({ text, verdict: judge.judgeDocument(text) }), restMs);
    return () => clearTimeout(timer);
  }, [judge, text]);
  return { verdict: seen?.text === text ? seen.verdict : undefined, judge, isMissing };
}

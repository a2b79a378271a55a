/** The longest beginning of a text that fits into so many bytes of UTF-8, whole characters only. */
export function cutUtf8(text: string, maxBytes: number): string {
  return text.slice(0, new TextEncoder().encodeInto(text, new Uint8Array(maxBytes)).read);
}

/** Something is on its way. Shown only when it takes long enough to be noticed. */
export function Loading({ what = 'Loading' }: { readonly what?: string }) {
  return (
    <div class="loading" role="status">
      <span class="spinner" aria-hidden="true" />
      {what}…
    </div>
  );
}

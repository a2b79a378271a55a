/** Small drawings beside words; never the only thing that says something, so screen readers skip them. */
export const iconShapes = {
  apps: 'M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z',
  instances: 'M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9',
  jobs: 'M3 5h7v5H3zM14 14h7v5h-7zM6.5 10v6.5H14',
  nodes: 'M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01',
  artifacts: 'M12 3l9 5-9 5-9-5zM3 12l9 5 9-5M3 16l9 5 9-5',
  allocations: 'M4 20V10M10 20V4M16 20v-8M22 20H2',
  audit: 'M6 3h9l4 4v14H6zM9 11h7M9 15h7M9 7h3',
  out: 'M14 8V5H5v14h9v-3M10 12h11M18 9l3 3-3 3',
  theme: 'M12 4v16M12 4a8 8 0 1 0 0 16 8 8 0 1 0 0-16',
  copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  warning: 'M12 4l9 16H3zM12 10v4M12 17h.01',
  error: 'M12 3a9 9 0 1 0 0 18 9 9 0 1 0 0-18M12 8v5M12 16h.01',
  pause: 'M9 5v14M15 5v14',
  circle: 'M12 7a5 5 0 1 0 0 10 5 5 0 1 0 0-10',
  play: 'M8 5l11 7-11 7z',
  dots: 'M6 12h.01M12 12h.01M18 12h.01',
  dash: 'M5 12h14',
  stop: 'M7 7h10v10H7z',
  clock: 'M12 4a8 8 0 1 0 0 16 8 8 0 1 0 0-16M12 8v4l3 2',
  search: 'M11 5a6 6 0 1 0 0 12 6 6 0 1 0 0-12M15.5 15.5L20 20',
  close: 'M6 6l12 12M18 6L6 18',
  up: 'M7 14l5-5 5 5',
  down: 'M7 10l5 5 5-5',
  plus: 'M12 5v14M5 12h14',
  lock: 'M6 11h12v9H6zM9 11V8a3 3 0 0 1 6 0v3',
  menu: 'M4 7h16M4 12h16M4 17h16',
} as const;

export type IconName = keyof typeof iconShapes;

export function Icon({ name, class: extra = '' }: { readonly name: IconName; readonly class?: string }) {
  return (
    <svg class={`icon ${extra}`} viewBox="0 0 24 24" aria-hidden="true">
      <path d={iconShapes[name]} />
    </svg>
  );
}

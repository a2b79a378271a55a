/** Styles beside a page or a part: the build gathers them into one file. */
declare module '*.css';

/** What the directories of a grid are called, next to `server-0`, `server-1`, ... */
export const INTRODUCER_NAME = 'introducer';
export const CLIENT_NAME = 'client';

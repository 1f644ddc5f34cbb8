import { spawn } from 'node:child_process';

export interface CommandResult {
  /** The exit status; 127 when the command could not be started. */
  readonly status: number;
  /** What it said on standard error, or why it could not be started. */
  readonly message: string;
}

/** Runs a command to its end. `inherited` becomes its descriptor 3. */
export function runCommand(command: string, args: readonly string[], inherited?: number): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe', inherited ?? 'ignore'] });
    const errors: Uint8Array[] = [];
    child.stderr?.on('data', (chunk: Uint8Array) => errors.push(chunk));
    child.on('error', (error) => resolve({ status: 127, message: error.message }));
    child.on('close', (status) => resolve({ status: status ?? 1, message: Buffer.concat(errors).toString().trim() }));
  });
}

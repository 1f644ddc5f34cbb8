import { InvalidArgumentError } from 'commander';

/** For options of the programs in this folder: a whole number from 0 on. */
export function naturalNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('a whole number is wanted');
  return value;
}

/** The same from 1 on. */
export function positiveNumber(text: string): number {
  const value = naturalNumber(text);
  if (value === 0) throw new InvalidArgumentError('a number from 1 on is wanted');
  return value;
}

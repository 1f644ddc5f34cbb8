/** The greatest value of `measure` while `work` goes on. */
export async function peakOf(measure: () => number, work: () => Promise<unknown>): Promise<number> {
  let peak = measure();
  const look = () => {
    peak = Math.max(peak, measure());
  };
  const timer = setInterval(look, 20);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  look();
  return peak;
}

// When views ask anew.

const SOON_MS = 500;

/** What has `work` done soon: once for all who ask meanwhile, and never twice at a time, so that no answer overtakes another. */
export function paced(work) {
  let wanted = false;
  let busy = false;
  return async () => {
    wanted = true;
    if (busy) return;
    busy = true;
    while (wanted) {
      await new Promise((resolve) => setTimeout(resolve, SOON_MS));
      wanted = false;
      await work().catch(() => {});
    }
    busy = false;
  };
}

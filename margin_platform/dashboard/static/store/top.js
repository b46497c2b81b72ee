// The lowest keys over a column of the store, in one pass: a firm has a hundred thousand accounts.

function insert(found, entry, count) {
  let at = found.length;
  while (at > 0 && found[at - 1].k > entry.k) at--;
  found.splice(at, 0, entry);
  if (found.length > count) found.pop();
}

// The row numbers, lowest key first, of the accounts that have a flag, or of all.
export function top({ byId, numbers }, { column, key, count, flag = 0 }) {
  const values = numbers[column];
  const found = [];
  for (const i of byId.values()) {
    if (flag && !(numbers.flags[i] & flag)) continue;
    const k = key(values[i]);
    if (Number.isNaN(k) || (found.length === count && k >= found[count - 1].k)) continue;
    insert(found, { i, k }, count);
  }
  return found.map(({ i }) => i);
}

// Comparison of records, so that what has not changed keeps its identity.

/** Whether both have the same fields with the same values. For flat objects. */
export function isSame<T extends object>(left: T, right: T): boolean {
  const keys = Object.keys(left) as (keyof T)[];
  return keys.length === Object.keys(right).length && keys.every((key) => left[key] === right[key]);
}

// Stands in for a writer of XML that a dependency imports and this page never calls.

export function create(): never {
  throw new Error('this page writes no XML');
}

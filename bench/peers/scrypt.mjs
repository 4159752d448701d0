// Bare scrypt with the parameters of Better Auth's own hashing: hashes per second over so many seconds.

import { randomBytes, scryptSync } from "node:crypto";

const [N, r, p, length] = [16384, 16, 1, 64];
const options = { N, r, p, maxmem: 128 * N * r * 2 };
const salt = randomBytes(16).toString("hex");
const begun = performance.now();
const end = begun + Number(process.argv[2]) * 1000;
let n = 0;
while (performance.now() < end) {
  scryptSync("correct horse battery staple", salt, length, options);
  n += 1;
}
console.log((n * 1000) / (performance.now() - begun));

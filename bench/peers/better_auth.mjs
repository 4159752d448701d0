// Better Auth on node's own HTTP server, as its "Installation" has it, with e-mail and password.
// node better_auth.mjs migrate | PORT

import { createServer } from "node:http";

import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { Pool } from "pg";

// Attempts are counted, as everywhere here, up to a limit that the load does not meet.
const noLimit = { window: 60, max: 1e9 };

const auth = betterAuth({
  database: new Pool({ connectionString: process.env.PEER_DATABASE_URL }),
  emailAndPassword: { enabled: true },
  rateLimit: {
    enabled: true,
    ...noLimit,
    customRules: { "/sign-in/email": noLimit, "/sign-up/email": noLimit },
  },
});

if (process.argv[2] === "migrate") {
  await (await getMigrations(auth.options)).runMigrations();
  process.exit();
}
createServer(toNodeHandler(auth)).listen(Number(process.argv[2]), "127.0.0.1");

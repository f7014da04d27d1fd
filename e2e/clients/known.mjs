// The facts of this run (facts.mjs), and what follows from them.

import { readFileSync } from 'node:fs'

export const facts = JSON.parse(readFileSync(process.env.FACTS, 'utf8'))

/** Where a client waits for its answer. */
export const redirectUri = (name) => facts.clients[name].redirect_uris[0]

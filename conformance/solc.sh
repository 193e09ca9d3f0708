#!/bin/sh
# npm's solc as the compiler binary that forge wants: `--version`, or standard JSON from stdin to stdout. forge's other
# arguments are about paths, and it sends the sources along. (solcjs itself prints a remark before the JSON.)
NODE_PATH="$(dirname -- "$0")/node_modules" exec node -e 'const solc = require("solc"), fs = require("fs")
  process.stdout.write(process.argv[1] === "--version" ? `Version: ${solc.version()}\n` : solc.compile(fs.readFileSync(0, "utf8")))' -- "$1"

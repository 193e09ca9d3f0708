// The contract that the clients deploy, compiled on the spot.
import { readFileSync } from 'node:fs'
import solc from 'solc'

const source = readFileSync(new URL('../foundry/src/Counter.sol', import.meta.url), 'utf8')
const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: 'Solidity',
      sources: { 'Counter.sol': { content: source } },
      settings: { outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
    }),
  ),
)
const { abi, evm } = output.contracts['Counter.sol'].Counter

export { abi }
export const bytecode = `0x${evm.bytecode.object}`

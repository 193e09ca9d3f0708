// viem as a wallet and a dapp use it: node viem.mjs URL
import assert from 'node:assert/strict'
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  http,
  parseEther,
  webSocket,
} from 'viem'
import { mnemonicToAccount, generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { chainConfig, publicActionsL2 } from 'viem/op-stack'
import { abi, bytecode } from './counter.mjs'

const url = process.argv[2]
const chain = defineChain({
  ...chainConfig,
  id: 901,
  name: 'Millrace development',
  nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [url] } },
  contracts: { ...chainConfig.contracts, multicall3: { address: '0xcA11bde05977b3631167028862bE2a173976CA11' } },
})
const account = mnemonicToAccount('test test test test test test test test test test test junk', { addressIndex: 1 })
const reader = createPublicClient({ chain, transport: http(), pollingInterval: 100 }).extend(publicActionsL2())
const socket = createPublicClient({ chain, transport: webSocket(url.replace('http', 'ws')) })
const wallet = createWalletClient({ chain, account, transport: http() })

assert.equal(await reader.getChainId(), 901)
const friend = privateKeyToAccount(generatePrivateKey()).address

// A transfer of each fee style.
for (const fees of [{}, { type: 'legacy' }, { type: 'eip2930', accessList: [] }]) {
  const hash = await wallet.sendTransaction({ to: friend, value: parseEther('1'), ...fees })
  const receipt = await reader.waitForTransactionReceipt({ hash })
  assert.equal(receipt.status, 'success')
  assert.equal(receipt.gasUsed, 21000n)
  assert.ok(receipt.l1Fee > 0n, 'the receipt tells what L1 cost')
  const tx = await reader.getTransaction({ hash })
  assert.equal(tx.blockHash, receipt.blockHash)
}
assert.equal(await reader.getBalance({ address: friend }), parseEther('3'))

// What the wallet is told that it will cost covers what it did cost.
const estimate = await reader.estimateTotalFee({ account, to: friend, value: 1n })
assert.ok(estimate > 0n)

// A contract: deploy, read, write, watch, revert.
const deployment = await reader.waitForTransactionReceipt({
  hash: await wallet.deployContract({ abi, bytecode, args: [5n] }),
})
const counter = { address: deployment.contractAddress, abi }
assert.equal(await reader.readContract({ ...counter, functionName: 'number' }), 5n)

const seen = new Promise((resolve, reject) => {
  socket.watchContractEvent({
    ...counter,
    eventName: 'Counted',
    onLogs: ([log]) => resolve(log.args.number),
    onError: reject,
  })
})
const heads = new Promise((resolve, reject) => {
  const blocks = []
  const stop = socket.watchBlocks({
    onBlock: (block) => {
      if (blocks.push(block) === 3) {
        stop()
        resolve(blocks)
      }
    },
    onError: reject,
  })
})
await new Promise((resolve) => setTimeout(resolve, 300))
const { request } = await reader.simulateContract({ ...counter, functionName: 'increment', account })
await reader.waitForTransactionReceipt({ hash: await wallet.writeContract(request) })
assert.equal(await seen, 6n)
const blocks = await heads
for (const [index, block] of blocks.slice(1).entries()) {
  assert.equal(block.parentHash, blocks[index].hash)
  assert.ok(block.timestamp > blocks[index].timestamp)
}

await assert.rejects(
  reader.simulateContract({ ...counter, functionName: 'set', args: [2000n], account }),
  (error) => {
    const cause = error instanceof BaseError && error.walk((e) => e instanceof ContractFunctionRevertedError)
    assert.equal(cause.data.errorName, 'TooFar')
    assert.deepEqual(cause.data.args, [1000n])
    return true
  },
)

// Several reads in one call, through the multicall contract that tools assume.
const [number, again] = await reader.multicall({
  contracts: [
    { ...counter, functionName: 'number' },
    { ...counter, functionName: 'number' },
  ],
  allowFailure: false,
})
assert.equal(number, again)

const logs = await reader.getContractEvents({ ...counter, eventName: 'Counted', fromBlock: 0n })
assert.deepEqual(logs.map((log) => log.args.number), [6n])

// EIP-7702: the account borrows the counter's code.
const authorization = await wallet.signAuthorization({ contractAddress: counter.address, executor: 'self' })
const delegation = await wallet.sendTransaction({ to: friend, authorizationList: [authorization] })
await reader.waitForTransactionReceipt({ hash: delegation })
const code = await reader.getCode({ address: account.address })
assert.equal(code, `0xef0100${counter.address.slice(2).toLowerCase()}`)

// A proof that anyone can check against the header.
const proof = await reader.getProof({ address: counter.address, storageKeys: [`0x${'0'.repeat(64)}`] })
assert.equal(proof.storageProof[0].value, 6n)

// Errors that wallets match on.
await assert.rejects(
  wallet.sendTransaction({ to: friend, nonce: 0, gas: 21000n }),
  (error) => error.walk((e) => e.name === 'NonceTooLowError') !== null,
)
await assert.rejects(
  reader.estimateGas({ account: friend, to: account.address, value: parseEther('1000') }),
  (error) => error.walk((e) => e.name === 'InsufficientFundsError') !== null,
)

const history = await reader.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] })
assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1)

console.log('viem ok')
process.exit(0)

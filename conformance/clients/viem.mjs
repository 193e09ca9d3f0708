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

// A receipt before its block (EIP-7966), and the same receipt after it.
const zero = `0x${'0'.repeat(64)}`
const request7966 = await wallet.prepareTransactionRequest({ to: friend, value: 1n })
const serializedTransaction = await wallet.signTransaction(request7966)
for (const promised of [
  await wallet.sendRawTransactionSync({ serializedTransaction, timeout: 5_000 }),
  await wallet.sendTransactionSync({ to: friend, value: 1n }),
  await wallet.writeContractSync({ ...counter, functionName: 'increment' }),
]) {
  const hash = promised.transactionHash
  assert.equal(promised.status, 'success')
  assert.equal(typeof promised.blockNumber, 'bigint')
  assert.ok(promised.l1Fee > 0n)
  // Whoever waits for a receipt in the usual way gets one whose block is there, with its effects.
  const sealed = await reader.waitForTransactionReceipt({ hash })
  assert.notEqual(sealed.blockHash, zero)
  assert.equal((await reader.getBlock({ blockHash: sealed.blockHash })).number, promised.blockNumber)
  assert.equal(sealed.transactionIndex, promised.transactionIndex)
  assert.equal(sealed.cumulativeGasUsed, promised.cumulativeGasUsed)
  assert.deepEqual(sealed.logs.map((log) => log.data), promised.logs.map((log) => log.data))
}
assert.equal(await reader.readContract({ ...counter, functionName: 'number' }), 7n)
const patient = mnemonicToAccount('test test test test test test test test test test test junk', { addressIndex: 3 })
await assert.rejects(
  wallet.sendTransactionSync({ account: patient, to: friend, value: 1n, nonce: 9, gas: 21000n, timeout: 100 }),
  (error) => error.walk((e) => e.code === 5) !== null,
)

// The way of chains with preconfirmations: receipts at once, and state as of `pending`.
const fast = { ...chain, experimental_preconfirmationTime: 50 }
const early = createPublicClient({ chain: fast, transport: http(`${url}/preconf`) })
const told = new Promise((resolve, reject) => {
  const socketEarly = createPublicClient({ chain: fast, transport: webSocket(url.replace('http', 'ws')) })
  socketEarly.transport.subscribe({
    params: ['newFlashblockTransactions', { address: counter.address }],
    onData: (data) => resolve(data.result),
    onError: reject,
  })
})
await new Promise((resolve) => setTimeout(resolve, 300))
const increment = await wallet.writeContract({ ...counter, functionName: 'increment' })
const quick = await early.waitForTransactionReceipt({ hash: increment })
assert.equal(quick.status, 'success')
assert.equal(await early.readContract({ ...counter, functionName: 'number' }), 8n)
const pushed = await told
assert.deepEqual([pushed.hash, pushed.status, pushed.logs.length], [increment, '0x1', 1])
await reader.waitForTransactionReceipt({ hash: increment })

const history = await reader.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] })
assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1)

console.log('viem ok')
process.exit(0)

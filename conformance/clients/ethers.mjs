// ethers as a wallet and a dapp use it, with the JSON batches that it sends by default: node ethers.mjs URL
import assert from 'node:assert/strict'
import { ContractFactory, HDNodeWallet, JsonRpcProvider, WebSocketProvider, isError, parseEther } from 'ethers'
import { abi, bytecode } from './counter.mjs'

const url = process.argv[2]
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 100, cacheTimeout: -1 })
const socket = new WebSocketProvider(url.replace('http', 'ws'))
const phrase = 'test test test test test test test test test test test junk'
const wallet = HDNodeWallet.fromPhrase(phrase, undefined, "m/44'/60'/0'/0/2").connect(provider)

// Asked at once, these travel as one batch.
const [network, block, balance, fees] = await Promise.all([
  provider.getNetwork(),
  provider.getBlock('latest'),
  provider.getBalance(wallet.address),
  provider.getFeeData(),
])
assert.equal(network.chainId, 901n)
assert.ok(block.baseFeePerGas > 0n && fees.maxFeePerGas > 0n)
assert.equal(balance, parseEther('10000000'))

const stranger = HDNodeWallet.createRandom().connect(provider)
const receipt = await (await wallet.sendTransaction({ to: stranger.address, value: parseEther('1') })).wait()
assert.equal(receipt.status, 1)
assert.equal(await provider.getBalance(stranger.address), parseEther('1'))

const counter = await new ContractFactory(abi, bytecode, wallet).deploy(10n)
await counter.waitForDeployment()
assert.equal(await counter.number(), 10n)

const heads = new Promise((resolve) => socket.once('block', resolve))
const done = await (await counter.increment()).wait()
assert.equal(done.logs.length, 1)
assert.equal(await counter.number(), 11n)
assert.ok((await heads) > 0)

const events = await counter.queryFilter('Counted')
assert.deepEqual(events.map((event) => event.args.number), [11n])

await assert.rejects(counter.set.staticCall(2000n), (error) => error.revert.name === 'TooFar')
// What an estimate reverts with comes back as it is.
await assert.rejects(counter.set(2000n), (error) => {
  assert.ok(isError(error, 'CALL_EXCEPTION'))
  assert.equal(counter.interface.parseError(error.data).name, 'TooFar')
  return true
})
await assert.rejects(counter.set.staticCall(13n), (error) => error.reason === 'not thirteen')
await assert.rejects(
  stranger.sendTransaction({ to: wallet.address, value: parseEther('5') }),
  (error) => isError(error, 'INSUFFICIENT_FUNDS'),
)
await assert.rejects(
  wallet.sendTransaction({ to: stranger.address, nonce: 0, gasLimit: 21000n }),
  (error) => isError(error, 'NONCE_EXPIRED'),
)

// `pending` sees what is executed and not yet sealed, and more sends do not wait for blocks.
const nonce = await wallet.getNonce('pending')
const many = await Promise.all(
  [0, 1, 2, 3, 4].map((i) => wallet.sendTransaction({ to: stranger.address, value: 1n, nonce: nonce + i })),
)
assert.equal(await wallet.getNonce('pending'), nonce + 5)
await Promise.all(many.map((tx) => tx.wait()))

// A receipt before its block (EIP-7966). Where receipts of promised transactions are served, waiting is as short.
const raw = await wallet.signTransaction(await wallet.populateTransaction({ to: stranger.address, value: 1n }))
const promised = await provider.send('eth_sendRawTransactionSync', [raw])
assert.equal(promised.status, '0x1')
const sealed = await provider.waitForTransaction(promised.transactionHash)
assert.equal(sealed.index, Number(promised.transactionIndex))
assert.equal((await sealed.getBlock()).number, Number(promised.blockNumber))
const early = new JsonRpcProvider(`${url}/preconf`, undefined, { pollingInterval: 100, cacheTimeout: -1 })
const quick = await (await wallet.connect(early).sendTransaction({ to: stranger.address, value: 1n })).wait()
assert.equal(quick.status, 1)
const before = await early.getBalance(stranger.address, 'pending')
assert.equal(before, parseEther('1') + 7n)

console.log('ethers ok')
process.exit(0)

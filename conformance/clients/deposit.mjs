// Deposits as a wallet makes them on L1, and, if an L2 is named, how they arrive there: node deposit.mjs L1_URL PORTAL [L2_URL]
import assert from 'node:assert/strict'
import { createPublicClient, createWalletClient, defineChain, http, parseEther } from 'viem'
import { mnemonicToAccount } from 'viem/accounts'
import {
  chainConfig,
  extractTransactionDepositedLogs,
  getL2TransactionHashes,
  opaqueDataToDepositData,
  publicActionsL1,
  walletActionsL1,
} from 'viem/op-stack'

const [url, portal, l2Url] = process.argv.slice(2)
const id = await createPublicClient({ transport: http(url) }).getChainId()
const l1 = defineChain({
  id,
  name: 'L1',
  nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [url] } },
})
const l2 = defineChain({
  ...chainConfig,
  id: 901,
  name: 'Millrace development',
  nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [l2Url ?? 'http://127.0.0.1:9545'] } },
  sourceId: id,
  contracts: { ...chainConfig.contracts, portal: { [id]: { address: portal } } },
})
const account = mnemonicToAccount('test test test test test test test test test test test junk', { addressIndex: 5 })
const reader = createPublicClient({ chain: l1, transport: http(url), pollingInterval: 100 }).extend(publicActionsL1())
const wallet = createWalletClient({ account, chain: l1, transport: http(url) }).extend(walletActionsL1())
const friend = '0x00000000000000000000000000000000000c0ffe'

async function deposit(request) {
  const hash = await wallet.depositTransaction({ request, targetChain: l2 })
  const receipt = await reader.waitForTransactionReceipt({ hash })
  assert.equal(receipt.status, 'success')
  const [log, ...others] = extractTransactionDepositedLogs(receipt)
  assert.equal(others.length, 0)
  assert.equal(log.args.from, account.address)
  const hashes = getL2TransactionHashes(receipt)
  assert.equal(hashes.length, 1)
  if (l2Url) {
    const client = createPublicClient({ chain: l2, transport: http(), pollingInterval: 100 })
    const arrived = await client.waitForTransactionReceipt({ hash: hashes[0] })
    assert.equal(arrived.from.toLowerCase(), account.address.toLowerCase())
    assert.equal(arrived.status, 'success')
  }
  return { receipt, log, data: opaqueDataToDepositData(log.args.opaqueData) }
}

const plain = await deposit({ gas: 21_000n, to: friend, mint: parseEther('2'), value: parseEther('1') })
assert.equal(plain.log.args.to.toLowerCase(), friend)
assert.deepEqual(plain.data, {
  mint: parseEther('2'),
  value: parseEther('1'),
  gas: 21_000n,
  isCreation: false,
  data: '0x',
})
assert.equal(await reader.getBalance({ address: portal }), parseEther('2'))

const call = await deposit({ gas: 1_000_000n, to: friend, data: '0x01020304' })
assert.equal(call.data.data, '0x01020304')
assert.ok(call.receipt.gasUsed > 900_000n, 'a million of L2 gas is paid for')

const creation = await deposit({ gas: 100_000n, isCreation: true, data: '0x60fe5f5360015ff3' })
assert.equal(creation.data.isCreation, true)

// What estimates say before anything is sent holds.
const gas = await reader.estimateDepositTransactionGas({
  account,
  request: { gas: 300_000n, to: friend },
  targetChain: l2,
})
assert.ok(gas > 21_000n)
// SmallGasLimit(), which viem's ABI of the portal does not name.
await assert.rejects(deposit({ gas: 20_999n, to: friend }), (error) => String(error).includes('0x4929b808'))

console.log('deposits ok')
process.exit(0)

// Compiles src/**/*.sol with the pinned solc and writes one artifact a contract to artifacts/ beside it: for the chain's
// contracts, and for those that the executor is tested with. Genesis needs the code that accounts have, so every artifact
// has that; what is deployed on L1 needs the code that creates it besides.
//
//   node contracts/build.mjs           writes them
//   node contracts/build.mjs --check   fails, naming the files, when what is checked in is not what the sources give
//
// The same sources give the same bytes everywhere: the compiler is pinned in package-lock.json, paths are relative to
// the directory of src/, and no metadata hash is appended to the code.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import solc from 'solc'

const here = dirname(fileURLToPath(import.meta.url))
const pinned = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8')).dependencies.solc

// The codes are solc's. The zoo destroys contracts on purpose: that `selfdestruct` is deprecated is no news there.
const collections = [
  { name: 'contracts', root: here, tolerated: [], deployed: (source) => !source.startsWith('src/l2/') },
  { name: 'executor/zoo', root: join(here, '..', 'executor', 'zoo'), tolerated: ['5159'], deployed: () => false },
]

function fail(message) {
  console.error(message)
  process.exit(1)
}

function readSources(root) {
  const names = readdirSync(join(root, 'src'), { recursive: true }).filter((name) => name.endsWith('.sol'))
  return Object.fromEntries(
    names.sort().map((name) => {
      const path = join(root, 'src', name)
      return [relative(root, path).split(sep).join('/'), { content: readFileSync(path, 'utf8') }]
    }),
  )
}

function compile(sources, tolerated) {
  const input = {
    language: 'Solidity',
    sources,
    settings: {
      evmVersion: 'prague',
      optimizer: { enabled: true, runs: 10_000 },
      metadata: { bytecodeHash: 'none', appendCBOR: false },
      outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode', 'storageLayout'] } },
    },
  }
  const output = JSON.parse(solc.compile(JSON.stringify(input)))
  // Warnings are errors: a build that always prints some hides the one that matters.
  const errors = (output.errors ?? []).filter((error) => !tolerated.includes(error.errorCode))
  if (errors.length) fail(errors.map((error) => error.formattedMessage).join('\n'))
  return output.contracts
}

// Only what a reader of storage needs: solc's own form also carries syntax-tree ids, which any edit elsewhere changes.
function storageOf({ storage, types }) {
  return storage.map(({ label, slot, offset, type }) => ({
    label,
    slot: Number(slot),
    offset,
    type: types[type].label,
    bytes: Number(types[type].numberOfBytes),
  }))
}

// A file may declare only what it is named after; abstract contracts and files of functions have no artifact.
function artifacts(contracts, deployed) {
  const files = new Map()
  for (const [source, declared] of Object.entries(contracts)) {
    for (const [name, { abi, evm, storageLayout }] of Object.entries(declared)) {
      const code = evm.deployedBytecode.object
      if (code === '') continue
      if (!source.endsWith(`/${name}.sol`)) fail(`${source} declares ${name}: give it a file of its own`)
      if (Object.keys(evm.deployedBytecode.immutableReferences ?? {}).length > 0) {
        fail(`${source}: ${name} has immutables, which nobody fills in; use storage`)
      }
      const artifact = { name, source, solc: pinned, abi, storage: storageOf(storageLayout), runtimeBytecode: `0x${code}` }
      if (deployed(source)) artifact.creationBytecode = `0x${evm.bytecode.object}`
      files.set(`${name}.json`, `${JSON.stringify(artifact, null, 2)}\n`)
    }
  }
  return files
}

function existing(artifactsDir) {
  try {
    return new Map(readdirSync(artifactsDir).map((name) => [name, readFileSync(join(artifactsDir, name), 'utf8')]))
  } catch (error) {
    if (error.code === 'ENOENT') return new Map()
    throw error
  }
}

if (!solc.version().startsWith(`${pinned}+`)) {
  fail(`solc ${solc.version()} is installed, ${pinned} is pinned: run npm ci in contracts/`)
}

for (const { name: collection, root, tolerated, deployed } of collections) {
  const artifactsDir = join(root, 'artifacts')
  const built = artifacts(compile(readSources(root), tolerated), deployed)
  const old = existing(artifactsDir)

  if (process.argv.includes('--check')) {
    const wrong = [...new Set([...built.keys(), ...old.keys()])].filter((name) => built.get(name) !== old.get(name))
    if (wrong.length > 0) {
      const lines = wrong.sort().map((name) => `${collection}/artifacts/${name} is not what the sources give`)
      fail(lines.join('\n') + '\nrun: make contracts')
    }
    console.log(`${collection}: ${built.size} artifacts match their sources`)
  } else {
    mkdirSync(artifactsDir, { recursive: true })
    for (const name of old.keys()) if (!built.has(name)) rmSync(join(artifactsDir, name))
    for (const [name, text] of built) writeFileSync(join(artifactsDir, name), text)
    console.log(`${collection}: ${built.size} artifacts written`)
  }
}

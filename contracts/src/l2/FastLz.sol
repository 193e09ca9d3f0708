// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev How many bytes FastLZ (level 1) would make of `data`. This is the size estimate of the Fjord L1 fee, so it has
///      to agree with the node's own to the byte. Only lengths are counted; nothing is compressed.
///
///      The hash table is 8192 positions of 4 bytes. It is written past the free memory pointer, which is not moved:
///      32 KiB of packed entries cost 5,000 gas of memory, a Solidity array of words would cost 155,000.
function fastLzLength(bytes calldata data) pure returns (uint256 length) {
    assembly ("memory-safe") {
        // The bytes at a position, as FastLZ hashes them: three, little-endian.
        function hashAt(position) -> h {
            let v := calldataload(position)
            h := or(byte(0, v), or(shl(8, byte(1, v)), shl(16, byte(2, v))))
            h := and(shr(19, mul(2654435769, h)), 0x1fff)
        }
        // Puts a position in the table and gives the one that was there.
        function exchange(table, h, value) -> old {
            let entry := add(table, shl(2, h))
            let word := mload(entry)
            old := shr(224, word)
            mstore(entry, or(shl(224, value), shr(32, shl(32, word))))
        }
        // A run of literals: 32 bytes at most behind each control byte.
        function literals(count) -> size {
            size := mul(33, shr(5, count))
            let rest := and(count, 31)
            if rest { size := add(size, add(rest, 1)) }
        }

        let table := mload(0x40)
        // Memory past the free pointer may be dirty; calldata past its end reads as zeros. 32 bytes more than the
        // table, because the last entry is read and written as a whole word.
        calldatacopy(table, calldatasize(), 0x8020)

        let start := data.offset
        let anchor := 0
        // The last 13 bytes are always literals.
        let limit := mul(gt(data.length, 12), sub(data.length, 13))
        let position := 2
        for {} lt(position, limit) {} {
            let candidate
            for {} 1 {} {
                candidate := exchange(table, hashAt(add(start, position)), position)
                let here := calldataload(add(start, position))
                let there := calldataload(add(start, candidate))
                let near := lt(sub(position, candidate), 0x2000)
                position := add(position, 1)
                if or(iszero(lt(position, limit)), and(near, iszero(shr(232, xor(here, there))))) { break }
            }
            if iszero(lt(position, limit)) { break }
            position := sub(position, 1)

            length := add(length, literals(sub(position, anchor)))

            // The match: FastLZ's comparison counts the byte that differs, too, unless it reaches the end.
            let end := sub(add(limit, 9), add(position, 3))
            let left := add(start, add(candidate, 3))
            let right := add(start, add(position, 3))
            let matched := 0
            for {} lt(matched, end) {} {
                let differs := sub(byte(0, calldataload(add(left, matched))), byte(0, calldataload(add(right, matched))))
                matched := add(matched, 1)
                if differs { break }
            }
            let tail := sub(matched, 1)
            length := add(length, mul(3, div(tail, 262)))
            length := add(length, add(2, gt(mod(tail, 262), 5)))

            position := add(position, matched)
            pop(exchange(table, hashAt(add(start, position)), position))
            position := add(position, 1)
            pop(exchange(table, hashAt(add(start, position)), position))
            position := add(position, 1)
            anchor := position
        }
        length := add(length, literals(sub(data.length, anchor)))
    }
}

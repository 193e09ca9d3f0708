// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Thrasher
/// @notice Writes to slots that only the seed, or only what it finds, decides: the worst there is for predictions.
contract Thrasher {
    mapping(uint256 => uint256) public cells; // slot 0

    /// @notice Writes `count` of the first `range` cells.
    function thrash(uint256 seed, uint256 count, uint256 range) external {
        for (uint256 i = 0; i < count; ++i) {
            uint256 cell = uint256(keccak256(abi.encode(seed, i))) % range;
            unchecked {
                cells[cell] = cells[cell] * 31 + seed;
            }
        }
    }

    /// @notice Follows what the cells hold from one to the next, and changes each on the way.
    function chase(uint256 seed, uint256 count, uint256 range) external {
        uint256 cell = seed % range;
        for (uint256 i = 0; i < count; ++i) {
            uint256 value = uint256(keccak256(abi.encode(cells[cell], seed)));
            cells[cell] = value;
            cell = value % range;
        }
    }

    /// @notice Reads many cells and writes one.
    function gather(uint256 first, uint256 count, uint256 into) external {
        uint256 sum;
        unchecked {
            for (uint256 i = 0; i < count; ++i) sum += cells[first + i];
        }
        cells[into] = sum;
    }

    /// @notice Clears cells, for the refunds.
    function clear(uint256 first, uint256 count) external {
        for (uint256 i = 0; i < count; ++i) delete cells[first + i];
    }
}

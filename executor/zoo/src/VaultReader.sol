// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title VaultReader
/// @notice Looks at what every transaction changes a little: the balances that fees are paid to. What it sees, it
///         stores and logs, so whoever executes it must know the exact values at that very point of the block.
contract VaultReader {
    struct Snapshot {
        uint256 coinbase;
        uint256 baseFeeVault;
        uint256 l1FeeVault;
        uint256 operatorFeeVault;
        uint256 own;
        bytes32 blockHash;
    }

    mapping(uint256 => Snapshot) public snapshots; // slot 0
    uint256 public digest; // slot 1

    event Seen(uint256 indexed key, Snapshot snapshot);

    receive() external payable {}

    function record(uint256 key) external payable returns (uint256) {
        Snapshot memory seen = Snapshot({
            coinbase: block.coinbase.balance,
            baseFeeVault: address(0x4200000000000000000000000000000000000019).balance,
            l1FeeVault: address(0x420000000000000000000000000000000000001A).balance,
            operatorFeeVault: address(0x420000000000000000000000000000000000001b).balance,
            own: address(this).balance,
            blockHash: blockhash(block.number - 1)
        });
        snapshots[key] = seen;
        emit Seen(key, seen);
        return seen.coinbase;
    }

    /// @notice Folds what it sees into one slot, so the order of all such calls shows.
    function fold() external payable {
        digest = uint256(keccak256(abi.encode(digest, block.coinbase.balance, address(this).balance)));
    }

    /// @notice Takes another way when the coinbase has an odd balance.
    function fork(uint256 key) external payable {
        if (block.coinbase.balance % 2 == 1) {
            snapshots[key].own += 1;
        } else {
            digest += key;
        }
    }

    /// @notice Looks at anybody: whether there is an account, and what it has, which others may be adding to.
    function look(uint256 key, address who) external {
        snapshots[key].own = who.balance;
        snapshots[key].blockHash = who.codehash;
    }

    /// @notice Pays the coinbase directly, besides the fees.
    function tip() external payable {
        (bool paid,) = block.coinbase.call{value: msg.value}("");
        require(paid);
    }
}

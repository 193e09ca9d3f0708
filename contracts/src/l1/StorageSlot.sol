// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// Single words at slots that are the hash of a name, as the OP Stack's contracts keep addresses which tools read from
// storage. Such slots cannot collide with the ones that the compiler numbers.

function loadWord(bytes32 slot) view returns (uint256 value) {
    assembly {
        value := sload(slot)
    }
}

function storeWord(bytes32 slot, uint256 value) {
    assembly {
        sstore(slot, value)
    }
}

function loadAddress(bytes32 slot) view returns (address) {
    return address(uint160(loadWord(slot)));
}

function storeAddress(bytes32 slot, address value) {
    storeWord(slot, uint160(value));
}

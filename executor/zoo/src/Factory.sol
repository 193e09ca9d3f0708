// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Child} from "./Child.sol";

/// @title Factory
/// @notice Deploys children to addresses that only the salt decides, so one that is gone can come back. A child is gone
///         only if it was destroyed in the transaction that made it (EIP-6780); otherwise it merely loses its balance.
contract Factory {
    mapping(bytes32 => uint256) public deployments; // slot 0

    event Deployed(bytes32 indexed salt, address child);
    event Destroyed(bytes32 indexed salt, bool again);

    /// @notice Deploys a child that stays. Fails where one is already.
    function deploy(bytes32 salt) external payable returns (Child child) {
        child = new Child{salt: salt}();
        child.poke{value: msg.value}(uint256(salt), 1);
        deployments[salt] += 1;
        emit Deployed(salt, address(child));
    }

    /// @notice Deploys a child, uses it and destroys it, so that nothing of it remains; then tries to deploy another one
    ///         in its place, which cannot work before the transaction ends.
    function flash(bytes32 salt, address payable heir) external payable {
        Child child = new Child{salt: salt}();
        child.poke{value: msg.value}(uint256(salt), 2);
        child.destroy(heir);
        // It is still there until the transaction ends.
        child.poke(uint256(salt) + 1, 3);
        bool again;
        // An address that is taken costs all the gas that is passed along.
        try this.deploy{gas: 150_000}(salt) {
            again = true;
        } catch {}
        deployments[salt] += 1;
        emit Destroyed(salt, again);
    }

    /// @notice Sends ether to where a child may come to be, so there is an account before it, and one to lose with it.
    function fund(bytes32 salt) external payable {
        (bool paid,) = address(childAt(salt)).call{value: msg.value}("");
        require(paid);
    }

    /// @notice Uses a child, if there is one.
    function poke(bytes32 salt, uint256 key, uint256 value) external payable {
        childAt(salt).poke{value: msg.value}(key, value);
    }

    /// @notice Tells a child of an earlier transaction to go.
    function destroy(bytes32 salt, address payable heir) external {
        childAt(salt).destroy(heir);
    }

    /// @notice Where the child of this salt is, was or will be.
    function childAt(bytes32 salt) public view returns (Child) {
        bytes32 code = keccak256(type(Child).creationCode);
        bytes32 place = keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, code));
        return Child(address(uint160(uint256(place))));
    }
}

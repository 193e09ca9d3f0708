// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OptimismPortal} from "../src/l1/OptimismPortal.sol";
import {Proxy} from "../src/proxy/Proxy.sol";
import {ProxyAdmin} from "../src/proxy/ProxyAdmin.sol";
import {Rollup} from "./Rollup.sol";
import {RollupDeployment} from "../src/l1/RollupDeployment.sol";
import {SuperchainConfig} from "../src/l1/SuperchainConfig.sol";
import {SystemConfig} from "../src/l1/SystemConfig.sol";

/// @notice A later version, which appends to the state and sets that up.
contract SystemConfigV2 is SystemConfig {
    uint256 public added;

    function initializeV2(uint256 _added) external initializer(2) {
        added = _added;
    }
}

contract OptimismPortalV2 is OptimismPortal {
    uint256 public added;

    function initializeV2(uint256 _added) external initializer(2) {
        added = _added;
    }
}

contract UpgradeTest is Rollup {
    string private constant AGAIN = "Initializable: contract is already initialized";

    function test_EverythingIsBehindTheAdmin() public {
        assertEq(admin.owner(), OWNER);
        assertEq(admin.getProxyImplementation(address(superchain)), code.superchainConfig);
        assertEq(admin.getProxyImplementation(address(config)), code.systemConfig);
        assertEq(admin.getProxyImplementation(address(portal)), code.optimismPortal);
        assertEq(admin.getProxyAdmin(payable(address(superchain))), address(admin));
        assertEq(admin.getProxyAdmin(payable(address(config))), address(admin));
        assertEq(admin.getProxyAdmin(payable(address(portal))), address(admin));
    }

    function testFuzz_NothingIsInitializedTwice(address caller) public {
        vm.assume(caller != address(admin));
        SystemConfig.Contracts memory contracts = SystemConfig.Contracts(address(superchain), address(portal));
        SystemConfig.Settings memory mine = settings();
        mine.owner = caller;

        vm.prank(caller);
        expectReason(AGAIN);
        config.initialize(mine, contracts);
        vm.prank(caller);
        expectReason(AGAIN);
        portal.initialize(config);
        vm.prank(caller);
        expectReason(AGAIN);
        superchain.initialize(caller, false);
    }

    /// Nor is the code behind the proxies ever anything by itself.
    function test_ImplementationsCannotBeInitialized() public {
        SystemConfig.Contracts memory contracts = SystemConfig.Contracts(address(superchain), address(portal));
        expectReason(AGAIN);
        SystemConfig(code.systemConfig).initialize(settings(), contracts);
        expectReason(AGAIN);
        OptimismPortal(payable(code.optimismPortal)).initialize(config);
        expectReason(AGAIN);
        SuperchainConfig(code.superchainConfig).initialize(address(this), false);
    }

    function testFuzz_AnUpgradeKeepsTheState(uint64 gas, uint32 scalar, address batcher, uint256 added) public {
        gas = uint64(bound(gas, 21_000_000, 500_000_000));
        vm.prank(OWNER);
        config.setGasLimit(gas);
        vm.prank(OWNER);
        config.setGasConfigEcotone(scalar, ~scalar);
        vm.prank(OWNER);
        config.setBatcherHash(bytes32(uint256(uint160(batcher))));
        vm.deal(address(this), 7);
        portal.depositTransaction{value: 7}(address(this), 7, 100_000, false, "");

        bytes32[] memory before = snapshot(address(config), 109);
        bytes32[] memory portalBefore = snapshot(address(portal), 63);
        upgrade(address(config), address(new SystemConfigV2()), added);
        upgrade(address(portal), address(new OptimismPortalV2()), added);

        // The first slot has the version of the initializer.
        checkUnchanged(address(config), before);
        checkUnchanged(address(portal), portalBefore);
        assertEq(uint256(vm.load(address(config), 0)), 2);
        assertEq(SystemConfigV2(address(config)).added(), added);
        assertEq(OptimismPortalV2(payable(address(portal))).added(), added);
        assertEq(config.gasLimit(), gas);
        assertEq(config.owner(), OWNER);
        assertEq(config.optimismPortal(), address(portal));
        assertEq(address(portal).balance, 7);
        (, uint64 bought,) = portal.params();
        assertEq(bought, 100_000);

        expectReason(AGAIN);
        SystemConfigV2(address(config)).initializeV2(0);
        expectReason(AGAIN);
        config.initialize(settings(), SystemConfig.Contracts(address(superchain), address(portal)));
    }

    function testFuzz_NobodyElseUpgrades(address caller) public {
        vm.assume(caller != OWNER && caller != address(admin));
        address other = address(new OptimismPortalV2());
        vm.prank(caller);
        expectReason("Ownable: caller is not the owner");
        admin.upgrade(payable(address(portal)), other);
        vm.prank(caller);
        expectReason("Ownable: caller is not the owner");
        admin.upgradeAndCall(payable(address(portal)), other, "");
        vm.prank(caller);
        expectReason("Ownable: caller is not the owner");
        admin.changeProxyAdmin(payable(address(portal)), caller);
        vm.prank(caller);
        (bool success,) = address(portal).call(abi.encodeCall(Proxy.upgradeTo, (other)));
        assertTrue(!success, "the proxy listened to anybody");
        assertEq(admin.getProxyImplementation(address(portal)), code.optimismPortal);
    }

    /// A rollup whose settings are refused is not there at all.
    function test_ADeploymentIsWholeOrNothing() public {
        SystemConfig.Settings memory bad = settings();
        bad.gasLimit = 1;
        expectReason("Proxy: delegatecall to new implementation contract failed");
        new RollupDeployment(code, GUARDIAN, bad);

        RollupDeployment.Implementations memory missing = code;
        missing.systemConfig = address(0xdead);
        expectReason("Proxy: implementation has no code");
        new RollupDeployment(missing, GUARDIAN, settings());
    }

    function upgrade(address proxy, address implementation, uint256 added) private {
        vm.prank(OWNER);
        admin.upgradeAndCall(payable(proxy), implementation, abi.encodeCall(SystemConfigV2.initializeV2, (added)));
    }

    function snapshot(address target, uint256 slots) private view returns (bytes32[] memory words) {
        words = new bytes32[](slots);
        for (uint256 i = 0; i < slots; i++) {
            words[i] = vm.load(target, bytes32(i));
        }
    }

    function checkUnchanged(address target, bytes32[] memory before) private view {
        for (uint256 i = 1; i < before.length; i++) {
            assertEq(vm.load(target, bytes32(i)), before[i]);
        }
    }
}

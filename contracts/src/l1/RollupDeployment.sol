// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OptimismPortal} from "./OptimismPortal.sol";
import {Proxy} from "../proxy/Proxy.sol";
import {ProxyAdmin} from "../proxy/ProxyAdmin.sol";
import {SuperchainConfig} from "./SuperchainConfig.sol";
import {SystemConfig} from "./SystemConfig.sol";

/// @title RollupDeployment
/// @notice Creates the contracts of one rollup, whole, while it is itself created, and is afterwards the record of them.
///
///         Created through the deterministic deployer, its address follows from what it is given, and theirs follow from
///         its own. So whoever sends the transaction, the contracts come out the same or not at all, there is no moment in
///         which somebody else could initialize them, and code at this address means that all of it is done.
contract RollupDeployment {
    /// @notice The code behind the proxies; many rollups can share it.
    struct Implementations {
        address superchainConfig;
        address systemConfig;
        address optimismPortal;
    }

    /// @notice The admin of the proxies. It belongs to the rollup's owner.
    ProxyAdmin public proxyAdmin;
    SuperchainConfig public superchainConfig;
    SystemConfig public systemConfig;
    OptimismPortal public optimismPortal;

    /// @dev The order of creation decides about the addresses: nonces 1 to 4.
    constructor(Implementations memory _code, address _guardian, SystemConfig.Settings memory _settings) {
        ProxyAdmin admin = new ProxyAdmin(address(this));
        Proxy superchainProxy = new Proxy(address(admin));
        Proxy systemProxy = new Proxy(address(admin));
        Proxy portalProxy = new Proxy(address(admin));

        admin.upgradeAndCall(
            payable(superchainProxy),
            _code.superchainConfig,
            abi.encodeCall(SuperchainConfig.initialize, (_guardian, false))
        );
        SystemConfig.Contracts memory contracts = SystemConfig.Contracts(address(superchainProxy), address(portalProxy));
        admin.upgradeAndCall(
            payable(systemProxy),
            _code.systemConfig,
            abi.encodeCall(SystemConfig.initialize, (_settings, contracts))
        );
        admin.upgradeAndCall(
            payable(portalProxy),
            _code.optimismPortal,
            abi.encodeCall(OptimismPortal.initialize, (SystemConfig(address(systemProxy))))
        );
        admin.transferOwnership(_settings.owner);

        proxyAdmin = admin;
        superchainConfig = SuperchainConfig(address(superchainProxy));
        systemConfig = SystemConfig(address(systemProxy));
        optimismPortal = OptimismPortal(payable(portalProxy));
    }
}

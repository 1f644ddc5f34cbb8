/** Every tag of a tagged hash (immutable spec 1.4). Changing a byte here makes all existing data unreadable. */

// immutable files
export const chkKeyToStorageIndexTag = 'allmydata_immutable_key_to_storage_index_v1';
export const blockTag = 'allmydata_encoded_subshare_v1';
export const uriExtensionTag = 'allmydata_uri_extension_v1';
export const ciphertextTag = 'allmydata_crypttext_v1';
export const ciphertextSegmentTag = 'allmydata_crypttext_segment_v1';
/** Only the beginning of a composed tag: immutable spec 3.2. */
export const convergentKeyTagPrefix = 'allmydata_immutable_content_to_key_with_added_secret_v1+';

// Merkle trees
export const merkleEmptyLeafTag = 'Merkle tree empty leaf';
export const merkleInternalNodeTag = 'Merkle tree internal node';

// lease secrets; the two client ones are hashed as values, with the client's secret as the tag
export const clientRenewalValue = 'allmydata_client_renewal_secret_v1';
export const clientCancelValue = 'allmydata_client_cancel_secret_v1';
export const fileRenewalTag = 'allmydata_file_renewal_secret_v1';
export const fileCancelTag = 'allmydata_file_cancel_secret_v1';
export const bucketRenewalTag = 'allmydata_bucket_renewal_secret_v1';
export const bucketCancelTag = 'allmydata_bucket_cancel_secret_v1';

// mutable files
export const privateKeyToWriteKeyTag = 'allmydata_mutable_privkey_to_writekey_v1';
export const publicKeyToFingerprintTag = 'allmydata_mutable_pubkey_to_fingerprint_v1';
export const writeKeyToReadKeyTag = 'allmydata_mutable_writekey_to_readkey_v1';
export const readKeyToStorageIndexTag = 'allmydata_mutable_readkey_to_storage_index_v1';
export const readKeyToDataKeyTag = 'allmydata_mutable_readkey_to_datakey_v1';
export const writeKeyToWriteEnablerMasterTag = 'allmydata_mutable_writekey_to_write_enabler_master_v1';
export const writeEnablerTag = 'allmydata_mutable_write_enabler_master_and_nodeid_to_write_enabler_v1';
export const mutableContainerTag = 'allmydata_mutable_container_header';

// directories
export const dirnodeChildKeyTag = 'allmydata_mutable_writekey_and_salt_to_dirnode_child_capkey_v1';
export const dirnodeChildSaltTag = 'allmydata_dirnode_child_rwcap_to_salt_v1';

// unfinished uploads of this implementation
export const uploadSecretTag = 'tahoe-ts-upload-secret-v1';

// backup database
export const backupDirectoryTag = 'allmydata_backupdb_dirhash_v1';

// Command provisioner makes a persistent volume for every claim of this cluster's storage classes and takes it
// away again with the claim. A volume is a folder of this machine, or, for classes with the parameter
// bounded: "true", a file system of exactly the claim's size, for tests of a full disk.
//
// It runs beside the kubelet on the only node and needs root for mounts of bounded volumes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	storage "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	name               = "finetune.dev/local-volumes" // in the storage classes' field "provisioner"
	provisionedBy      = "pv.kubernetes.io/provisioned-by"
	selectedNode       = "volume.kubernetes.io/selected-node"
	smallestFileSystem = 1 << 20 // ext4 makes none below
)

type provisioner struct {
	client  kubernetes.Interface
	folder  string // holds one folder per volume, and NAME.image beside it for a bounded one
	node    string
	classes storagelisters.StorageClassLister
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	told    map[string]string // claim uid -> the last failure told, so that each is told once
}

// pass looks at every claim and volume once. It runs again on each change and each few seconds, so an error
// needs no queue: it is met again.
func (p *provisioner) pass(ctx context.Context) {
	claims, _ := p.claims.List(labels.Everything())
	for _, claim := range claims {
		if err := p.provision(ctx, claim); err != nil {
			p.tell(ctx, claim, err)
		}
	}
	volumes, _ := p.volumes.List(labels.Everything())
	for _, volume := range volumes {
		if err := p.reclaim(ctx, volume); err != nil {
			log.Printf("volume %s: %v", volume.Name, err)
		}
	}
}

func (p *provisioner) provision(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	class := p.classOf(claim)
	if class == nil || claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || !p.isDue(claim, class) {
		return nil
	}
	if err := allowed(claim, class); err != nil {
		return err
	}
	volume := p.volumeFor(claim, class)
	if _, err := p.volumes.Get(volume.Name); err == nil {
		return nil
	}
	if err := p.makeFolder(volume.Name, class, claim); err != nil {
		return err
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err == nil {
		log.Printf("made %s for %s/%s", volume.Name, claim.Namespace, claim.Name)
	}
	return err
}

func (p *provisioner) classOf(claim *core.PersistentVolumeClaim) *storage.StorageClass {
	if claim.Spec.StorageClassName == nil {
		return nil
	}
	class, err := p.classes.Get(*claim.Spec.StorageClassName)
	if err != nil || class.Provisioner != name {
		return nil
	}
	return class
}

// isDue: a class that waits for its first consumer has a node chosen by the scheduler.
func (p *provisioner) isDue(claim *core.PersistentVolumeClaim, class *storage.StorageClass) bool {
	waits := class.VolumeBindingMode != nil && *class.VolumeBindingMode == storage.VolumeBindingWaitForFirstConsumer
	return !waits || claim.Annotations[selectedNode] == p.node
}

func allowed(claim *core.PersistentVolumeClaim, class *storage.StorageClass) error {
	known := strings.Split(class.Parameters["accessModes"], ",")
	for _, mode := range claim.Spec.AccessModes {
		if !slices.Contains(known, string(mode)) {
			return fmt.Errorf("storage class %q takes no access mode %s; it takes %s", class.Name, mode, strings.Join(known, ", "))
		}
	}
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == core.PersistentVolumeBlock {
		return fmt.Errorf("storage class %q has no block volumes", class.Name)
	}
	if claim.Spec.Selector != nil || claim.Spec.DataSource != nil {
		return fmt.Errorf("storage class %q takes no selector and no dataSource", class.Name)
	}
	return nil
}

// volumeFor uses the "local" volume type: unlike hostPath, the kubelet applies a pod's fsGroup to it.
func (p *provisioner) volumeFor(claim *core.PersistentVolumeClaim, class *storage.StorageClass) *core.PersistentVolume {
	id := "pvc-" + string(claim.UID)
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: id, Annotations: map[string]string{provisionedBy: name}},
		Spec: core.PersistentVolumeSpec{
			Capacity:    core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes: claim.Spec.AccessModes,
			ClaimRef: &core.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeReclaimPolicy: *class.ReclaimPolicy,
			StorageClassName:              class.Name,
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: filepath.Join(p.folder, id)}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
				MatchExpressions: []core.NodeSelectorRequirement{{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{p.node}}},
			}}}},
		},
	}
}

// makeFolder may have been interrupted before, so each step looks first whether it was done.
func (p *provisioner) makeFolder(id string, class *storage.StorageClass, claim *core.PersistentVolumeClaim) error {
	folder := filepath.Join(p.folder, id)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	if class.Parameters["bounded"] == "true" {
		size := claim.Spec.Resources.Requests[core.ResourceStorage]
		if err := mountBounded(folder, size.Value()); err != nil {
			return err
		}
	}
	return os.Chmod(folder, 0o777) // past the umask: pods without fsGroup may write too
}

func mountBounded(folder string, size int64) error {
	if exec.Command("mountpoint", "-q", folder).Run() == nil {
		return nil
	}
	image := folder + ".image"
	if err := run("truncate", "--size", strconv.FormatInt(max(size, smallestFileSystem), 10), image); err != nil {
		return err
	}
	// No blocks kept for root, so that root and others meet the end of the disk at the same byte.
	if err := run("mkfs.ext4", "-q", "-F", "-m", "0", image); err != nil {
		return err
	}
	if err := run("mount", "-o", "loop", image, folder); err != nil {
		return err
	}
	return os.Remove(filepath.Join(folder, "lost+found"))
}

// remount brings bounded volumes back after the machine was restarted.
func remount(folder string) {
	images, _ := filepath.Glob(filepath.Join(folder, "*.image"))
	for _, image := range images {
		point := strings.TrimSuffix(image, ".image")
		if exec.Command("mountpoint", "-q", point).Run() == nil {
			continue
		}
		if err := run("mount", "-o", "loop", image, point); err != nil {
			log.Printf("volume %s: %v", point, err)
		}
	}
}

func (p *provisioner) reclaim(ctx context.Context, volume *core.PersistentVolume) error {
	if volume.Annotations[provisionedBy] != name || volume.Status.Phase != core.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete || volume.DeletionTimestamp != nil {
		return nil
	}
	folder := filepath.Join(p.folder, volume.Name)
	if exec.Command("mountpoint", "-q", folder).Run() == nil {
		if err := run("umount", folder); err != nil {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(folder), os.RemoveAll(folder+".image")); err != nil {
		return err
	}
	log.Printf("removed %s", volume.Name)
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// tell puts the failure where `kubectl describe pvc` shows it.
func (p *provisioner) tell(ctx context.Context, claim *core.PersistentVolumeClaim, failure error) {
	if p.told[string(claim.UID)] == failure.Error() {
		return
	}
	p.told[string(claim.UID)] = failure.Error()
	log.Printf("claim %s/%s: %v", claim.Namespace, claim.Name, failure)
	now := meta.Now()
	_, _ = p.client.CoreV1().Events(claim.Namespace).Create(ctx, &core.Event{
		ObjectMeta: meta.ObjectMeta{GenerateName: claim.Name + ".", Namespace: claim.Namespace},
		InvolvedObject: core.ObjectReference{
			APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
		},
		Type: core.EventTypeWarning, Reason: "ProvisioningFailed", Message: failure.Error(),
		Source: core.EventSource{Component: name}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, meta.CreateOptions{})
}

func run(command string, arguments ...string) error {
	output, err := exec.Command(command, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(string(output)))
	}
	return nil
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file with the API server's address and credentials")
	folder := flag.String("folder", "", "where the volumes lie")
	node := flag.String("node", "", "name of the node that this machine is")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	factory := informers.NewSharedInformerFactory(client, 0)
	p := &provisioner{
		client: client, folder: *folder, node: *node, told: map[string]string{},
		classes: factory.Storage().V1().StorageClasses().Lister(),
		claims:  factory.Core().V1().PersistentVolumeClaims().Lister(),
		volumes: factory.Core().V1().PersistentVolumes().Lister(),
	}

	remount(*folder)
	changed := make(chan struct{}, 1)
	wake := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { wake() }, UpdateFunc: func(any, any) { wake() }, DeleteFunc: func(any) { wake() },
	}
	_, _ = factory.Core().V1().PersistentVolumeClaims().Informer().AddEventHandler(handler)
	_, _ = factory.Core().V1().PersistentVolumes().Informer().AddEventHandler(handler)
	factory.Start(context.Background().Done())
	factory.WaitForCacheSync(context.Background().Done())

	for {
		p.pass(context.Background())
		select {
		case <-changed:
		case <-time.After(5 * time.Second):
		}
	}
}
